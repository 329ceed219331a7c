#!/usr/bin/env perl
# A worker of an arbiter in Perl, with nothing but what Perl has. docs/another-language.md walks through it.
use strict;
use warnings;
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP;

my $json = JSON::PP->new->utf8->canonical->allow_nonref->allow_bignum->max_depth(4000);    # by itself it takes 512
my %commands = (
    add  => sub { my ($a, $b) = @_; ($a // die "add needs a\n") + ($b // 0) },
    fail => sub { my ($code, $message) = @_; die { app => $code, message => $message } },
);
my %parameters = (add => ['a', 'b'], fail => ['code', 'message']);

# 1. The connection: inherited, or to be made.
my ($sock, $token);
if ($ENV{ARBITER_FD}) {
    open $sock, '+<&=', $ENV{ARBITER_FD} or die "ARBITER_FD: $!\n";
} else {
    $token = $ENV{ARBITER_TOKEN};
    my ($kind, $where) = split /:/, $ENV{ARBITER_ADDR} // die("no arbiter: see ARBITER_ADDR\n"), 2;
    $sock = $kind eq 'unix' ? IO::Socket::UNIX->new(Peer => $where) : IO::Socket::INET->new(PeerAddr => $where);
    $sock or die "cannot join the arbiter: $!\n";
}

# 2. Frames. Ours are whole; theirs may be in fragments, with pings between them. SIGTERM ends the wait for a frame,
# and nothing else: what is under way is done first. EINTR says that it came in between.
our ($waiting, $term) = (0, 0);
sub put {
    my ($opcode, $bytes) = @_;
    my $n = length $bytes;
    my $frame = pack('C', 0x80 | $opcode) . ($n < 126 ? pack 'C', $n : $n < 65536 ? pack 'Cn', 126, $n : pack 'CQ>', 127, $n) . $bytes;
    while (length $frame) { substr $frame, 0, (syswrite $sock, $frame or $!{EINTR} ? 0 : exit 1), '' }
}
sub take {
    my ($n, $bytes) = (shift, '');
    while (length $bytes < $n) {
        my $came = sysread $sock, $bytes, $n - length $bytes, length $bytes;
        exit 1 if defined $came ? !$came : !$!{EINTR};    # the arbiter is gone
    }
    return $bytes;
}
sub next_message {
    my $text = '';
    for (;;) {
        my ($first, $n) = do { local $waiting = 1; leave('signal SIGTERM') if $term; unpack 'CC', take(2) };
        $n = $n == 126 ? unpack 'n', take(2) : $n == 127 ? unpack 'Q>', take(8) : $n;
        my ($opcode, $bytes) = ($first & 0x0F, take($n));
        if    ($opcode == 9) { put(10, $bytes) }
        elsif ($opcode == 8) { put(8, $bytes); exit 1 }
        elsif ($opcode < 2)  { $text .= $bytes; return $json->decode($text) if $first & 0x80 }
    }
}
sub say_to { put(1, $json->encode($_[0])) }

# 3. Hello, and welcome.
say_to({ command => 'hello', kind => 'perl-worker', mode => 'serial', pid => $$ + 0, language => "perl $^V",
    commands => [sort keys %commands], $token ? (token => $token) : () });
my $welcome = next_message();
if ($welcome->{command} ne 'welcome') { warn "refused: $welcome->{error}{message}\n"; exit 1 }

# 4. The commands every actor has, and the end.
sub leave {
    $SIG{TERM} = 'IGNORE';
    say_to({ command => 'goodbye', death => { cause => 'stopped', reason => $_[0] } });
    put(8, pack 'n', 1000);
    exit 0;
}
$SIG{TERM} = sub { $term = 1; leave('signal SIGTERM') if $waiting };
$commands{ping}     = sub { 'pong' };
$commands{echo}     = sub { $_[0] };
$commands{stop}     = sub { };    # once it is answered
$commands{commands} = sub { [map { { name => $_, ack => JSON::PP::true } } sort keys %commands] };
$commands{info}     = sub { +{ %$welcome{'aid', 'name'}, kind => 'perl-worker', mode => 'serial', state => 'running', pid => $$ + 0 } };

# 5. A request, its answer, the next request.
for (;;) {
    my $m = next_message();
    if (!defined $m->{target}) {
        leave($m->{reason} // 'asked to') if $m->{command} eq 'stop';
        exit 1 if $m->{command} eq 'goodbye';
        next;    # cancel is too late here; others are of a later version
    }
    my %answer;
    if (my $f = $commands{ $m->{command} }) {
        my $kwargs = $m->{kwargs} // {};
        my @args = @{ $m->{args} // [] };
        my @names = @{ $parameters{ $m->{command} } // [] };
        $args[$_] //= $kwargs->{ $names[$_] } for 0 .. $#names;
        my $result = eval { $f->(@args) };
        if (my $e = $@) { %answer = (error => ref $e ? { code => 'app', started => JSON::PP::true, %$e } : { code => 'app', message => "$e" }) }
        elsif (eval { $json->decode($json->encode($result)); 1 }) { %answer = (result => $result) }
        else { %answer = (error => { code => 'not_encodable', message => 'the result is no JSON', started => JSON::PP::true }) }    # inf, nan
    } else {
        %answer = (error => { code => 'unknown_command', message => "no command $m->{command}", started => JSON::PP::false });
    }
    say_to({ command => 'callback', ack => $m->{ack}, %answer }) if defined $m->{ack};
    leave('asked to') if $m->{command} eq 'stop';
}
