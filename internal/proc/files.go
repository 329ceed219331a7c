package proc

import "os"

// files are the two sides of what a process is started with.
type files struct {
	child []*os.File // its descriptors 0, 1, 2 and those of Listen and Socket
	pumps []*pump    // what reads its pipes
	close []*os.File // of child, those opened here
}

// openFiles opens the standard files of the process that s describes. Output that
// nobody wants goes where standard input comes from, without a pipe.
func openFiles(s *Spec, tail *tail) (f *files, err error) {
	f = &files{}
	defer func() {
		if err != nil {
			f.closeChild()
			f.closeOurs()
		}
	}()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return f, err
	}
	f.child, f.close = append(f.child, null), append(f.close, null)

	var stdout, stderr func(line []byte, continued bool)
	if s.Stdout != nil {
		stdout = func(line []byte, _ bool) { s.Stdout(line) }
	}
	if s.Stderr != nil || tail != nil {
		stderr = func(line []byte, continued bool) {
			if !continued {
				tail.add(line)
			}
			if s.Stderr != nil {
				s.Stderr(line)
			}
		}
	}
	for _, emit := range []func([]byte, bool){stdout, stderr} {
		if emit == nil {
			f.child = append(f.child, null)
			continue
		}
		// The end that the process gets is in blocking mode, as programs expect:
		// os.StartProcess sees to it.
		r, w, err := os.Pipe()
		if err != nil {
			return f, err
		}
		f.child, f.close = append(f.child, w), append(f.close, w)
		f.pumps = append(f.pumps, &pump{r: r, lines: lines{emit: emit}})
		if u := s.User; u != nil {
			// Or it could not open /dev/stdout and /dev/stderr, which are these. Not every
			// system can change the owner of a pipe.
			_ = w.Chown(u.UID, u.GID)
		}
	}
	for _, file := range s.Listen {
		// The file itself would be put into blocking mode by its start, and with it
		// our own socket that it was made of.
		same, err := duplicate(file)
		if err != nil {
			return f, err
		}
		f.child, f.close = append(f.child, same), append(f.close, same)
	}
	if s.Socket != nil {
		f.child = append(f.child, s.Socket)
	}
	return f, nil
}

// closeChild closes here what was opened for the process.
func (f *files) closeChild() {
	for _, file := range f.close {
		file.Close()
	}
}

// closeOurs closes our ends of the pipes, if no process was started.
func (f *files) closeOurs() {
	for _, pump := range f.pumps {
		pump.r.Close()
	}
}
