//go:build unix

package conformance

import (
	"os"
	"path/filepath"
	"testing"
)

// interrupts is a module of Perl that has SIGTERM come where TERM_IN says: once a worker
// has read a request, or in the middle of the frame of its answer.
const interrupts = `package Interrupts;
use strict;
use Errno 'EINTR';
my $in = $ENV{TERM_IN};
*CORE::GLOBAL::sysread = sub (*\$$;$) {
    my $n = CORE::sysread $_[0], ${ $_[1] }, $_[2], $_[3];
    if ($in eq 'read' && ${ $_[1] } =~ /"echo"/) { $in = ''; kill TERM => $$ }
    return $n;
};
*CORE::GLOBAL::syswrite = sub (*$;$$) {
    if ($in eq 'write' && $_[1] =~ /"callback"/) {
        my $n = CORE::syswrite $_[0], $_[1], 1;
        $in = 'next write';
        kill TERM => $$;
        return $n;
    }
    return CORE::syswrite $_[0], $_[1] if $in ne 'next write';
    $in = '';
    $! = EINTR;
    return undef;
};
1;
`

// TestPerlIsInterrupted: SIGTERM does not take an answer from who waits for it, and
// leaves frames whole.
func TestPerlIsInterrupted(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Interrupts.pm"), []byte(interrupts), 0o644); err != nil {
		t.Fatal(err)
	}
	w := worker{name: "perl", run: []string{"perl", "-I" + dir, "-MInterrupts", "../perl/worker.pl"}, basic: true}
	w.need(t)
	exit := 0
	for _, in := range []string{"read", "write"} {
		t.Run(in, func(t *testing.T) {
			t.Setenv("TERM_IN", in)
			talk(t, w, dialogue{Steps: []step{
				{Send: map[string]any{"command": "echo", "target": "me", "args": []any{"whole"}, "ack": "1"}},
				{Expect: map[string]any{"command": "callback", "ack": "1", "result": "whole"}},
				{Expect: map[string]any{"command": "goodbye", "death": map[string]any{"cause": "stopped", "reason": "signal SIGTERM"}}},
				{Closed: 1000},
				{Exit: &exit},
			}})
		})
	}
}
