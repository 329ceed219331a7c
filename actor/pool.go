package actor

import (
	"context"
	"time"

	"github.com/arbiter-go/arbiter/internal/cell"
)

// SpawnPool starts a pool and answers when all its workers are ready. Only the
// arbiter answers it. See Pool.
var SpawnPool = NewCommand[PoolArgs, Ref]("pool", Doc("starts a pool of workers, which is an actor itself"))

// PoolArgs describe a pool: an actor, also called a monitor, that keeps a number of
// workers of one kind. Its name is required.
//
// The workers have slots with names of their own, web/1, web/2 and so on; a slot
// keeps its name when its worker is replaced. A message to the pool goes to one of
// its workers: whoever has the fewest calls unanswered, and of those the one that
// was idle longest. One to "web#KEY" goes to the worker KEY belongs to, the same
// one as long as the number of slots does not change. One to "web/*", which must be
// one-way, goes to each of them. Only the commands ping, info, config, stop,
// commands and notify are answered by the pool itself.
type PoolArgs struct {
	Name string `cbor:"name" json:"name"` // required; 56 bytes at most
	// Worker is what each worker is. Its Name, AID and GetOrCreate are not used; its
	// Restart is the pool's, and nil is the zero Policy: on failure.
	Worker  SpawnArgs `cbor:"worker" json:"worker"`
	Workers int       `cbor:"workers,omitempty" json:"workers,omitempty"` // how many, 4,096 at most; default 1, or Min
	// Min and Max, if Max is not 0, let the pool choose how many there are: one more
	// when the oldest message has waited for QueueAge, one less when there was nothing
	// to do for 30 s. Workers, with which it begins, is one of these then.
	Min      int           `cbor:"min,omitempty" json:"min,omitempty"` // default 1
	Max      int           `cbor:"max,omitempty" json:"max,omitempty"`
	QueueAge time.Duration `cbor:"queueAge,omitempty" json:"queueAge,omitempty"` // default 1 s
	// Bind are addresses the workers listen at: "host:port", "tcp:host:port" or
	// "unix:/path". They are opened once, and each worker inherits them as
	// sd_listen_fds(3) describes: descriptors from 3 on, LISTEN_FDS and LISTEN_PID. They block.
	// An inspection says what they came to: port 0 is a free one.
	Bind []string `cbor:"bind,omitempty" json:"bind,omitempty"`
	// WorkerEnv is the environment in which workers differ: {index} is the number of
	// the slot, from 1, {index0} from 0, {slot} its name, {pool} the pool's. It counts
	// where Worker.Env says otherwise.
	WorkerEnv []string `cbor:"workerEnv,omitempty" json:"workerEnv,omitempty"`
	// Recycle says when a worker is replaced though nothing is wrong with it.
	Recycle Recycle `cbor:"recycle,omitzero" json:"recycle,omitzero"`
}

// Recycle says when a worker has done enough. A field that is 0 does not count.
type Recycle struct {
	Messages uint64        `cbor:"messages,omitempty" json:"messages,omitempty"` // handlers started
	Age      time.Duration `cbor:"age,omitempty" json:"age,omitempty"`
	Memory   int64         `cbor:"memory,omitempty" json:"memory,omitempty"` // bytes resident, of a process: goroutines have none of their own
	// Jitter is the part by which each worker's own bounds differ at random, so that
	// they are not all replaced at once. Default 0.1; negative: none.
	Jitter float64 `cbor:"jitter,omitempty" json:"jitter,omitempty"`
}

// Pool has the arbiter start a pool, from anywhere ctx has a sender. It returns
// when all workers are ready, or with the error of the first that could not start,
// and no pool. All start at the same time; how long it waits for them is as with Spawn.
func Pool(ctx context.Context, args PoolArgs) (Ref, error) {
	ctx, cancel := cell.ToStart(ctx, args.Worker.StartTimeout)
	defer cancel()
	return SpawnPool.Call(ctx, Arbiter, args)
}

// Commands about actors and pools that only the arbiter answers.
var (
	// ScalePool changes how many workers a pool has, and answers how many it has when
	// that is done. See ScaleArgs.
	ScalePool = NewCommand[ScaleArgs, int]("scale", Doc("changes how many workers a pool has"))
	// RestartActor replaces a worker, or all of a pool one after the other, each when
	// its successor is ready; a supervised actor is stopped and started again. What is
	// not supervised is refused. It answers with the slots that were restarted.
	RestartActor = NewCommand[Ref, []string]("restart", Doc("replaces the workers of a pool, one after the other"))
	// StopActor stops an actor, a slot or all slots of a pool, and answers when that has
	// ended. A slot stays empty until StartActor; the pool itself stays, too.
	StopActor = NewCommand[Ref, Death]("stop_actor", Doc("stops an actor and waits for it; a slot, and all of a pool, stay empty until they are started"))
	// StartActor starts what StopActor stopped, or a supervisor gave up on.
	StartActor = NewCommand[Ref, Ref]("start", Doc("starts again what was stopped or given up on"))
	// InspectActor answers all that is known of an actor, a slot or a pool, also of one
	// that has ended lately.
	InspectActor = NewCommand[Ref, Inspection]("inspect", Doc("all that is known of an actor"))
	// Logs answers lines that processes have printed. See LogsArgs.
	Logs = NewCommand[LogsArgs, LogLines]("logs", Doc("what processes have printed"))
)

// ScaleArgs are the arguments of ScalePool: the number of workers, as in Workers: new(4), or
// the change. One of them is needed: a pool is not emptied because nobody said how many.
type ScaleArgs struct {
	Pool    string `cbor:"pool" json:"pool"`
	Workers *int   `cbor:"workers,omitempty" json:"workers,omitempty"`
	Delta   int    `cbor:"delta,omitempty" json:"delta,omitempty"` // if not 0, Workers is not looked at
}

// Inspection is what is known of an actor, slot or pool.
type Inspection struct {
	Info     Info       `cbor:"info" json:"info"`
	Parent   string     `cbor:"parent,omitempty" json:"parent,omitempty"` // who spawned it
	Spawn    *SpawnArgs `cbor:"spawn,omitempty" json:"spawn,omitempty"`
	Pool     *PoolArgs  `cbor:"pool,omitempty" json:"pool,omitempty"`
	Slots    []Slot     `cbor:"slots,omitempty" json:"slots,omitempty"` // of a pool, or the one it is in
	Commands []string   `cbor:"commands,omitempty" json:"commands,omitempty"`
	Watchers int        `cbor:"watchers" json:"watchers"`
	// Account is what became of the messages it was sent; of the arbiter, that all
	// actors were, living and dead.
	Account *Account  `cbor:"account,omitempty" json:"account,omitempty"`
	Death   *Death    `cbor:"death,omitempty" json:"death,omitempty"`   // if it has ended
	Events  []Event   `cbor:"events,omitempty" json:"events,omitempty"` // the last 20 about it, oldest first
	Lines   []LogLine `cbor:"lines,omitempty" json:"lines,omitempty"`   // the last 20 it printed
	// Memory is, of the arbiter, what it holds for others.
	Memory *Memory `cbor:"memory,omitempty" json:"memory,omitempty"`
	// Weak says, of the arbiter, what the operating system or the container keeps it
	// from doing for processes, and why. It is known once a process was started.
	Weak []string `cbor:"weak,omitempty" json:"weak,omitempty"`
}

// Memory is what an arbiter holds for others, in bytes: messages that wait to be read by
// whom they are for, answers nobody has read, what is half read, lines that were printed.
type Memory struct {
	Held    int64  `cbor:"held" json:"held"`
	Budget  int64  `cbor:"budget" json:"budget"`   // how much that may be
	Refused uint64 `cbor:"refused" json:"refused"` // how often something was refused because of it
}

// Slot is a place in which one worker follows another.
type Slot struct {
	Name     string        `cbor:"name" json:"name"`
	State    string        `cbor:"state" json:"state"` // its worker's, or "waiting" to be started again, "stopped", "failed"
	AID      string        `cbor:"aid,omitempty" json:"aid,omitempty"`
	Restarts int           `cbor:"restarts" json:"restarts"`
	Waits    time.Duration `cbor:"waits,omitempty" json:"waits,omitempty"` // nanoseconds until it is started again
	Last     *Death        `cbor:"last,omitempty" json:"last,omitempty"`   // how the worker before ended
	Reason   string        `cbor:"reason,omitempty" json:"reason,omitempty"`
}

// LogsArgs ask for lines printed after the line number Since; of one actor, slot or
// pool, or with an empty Target of all. Without Since the last Last lines are
// answered. If there is nothing, the answer waits up to Wait: see EventsArgs.
type LogsArgs struct {
	Target string        `cbor:"target,omitempty" json:"target,omitempty"`
	Since  uint64        `cbor:"since,omitempty" json:"since,omitempty"`
	Last   int           `cbor:"last,omitempty" json:"last,omitempty"`     // default: all that is kept
	Within time.Duration `cbor:"within,omitempty" json:"within,omitempty"` // only what was printed no longer ago; default: all
	Wait   time.Duration `cbor:"wait,omitempty" json:"wait,omitempty"`     // at most a minute
}

// LogLines are lines, oldest first. At most 1,000 come at a time; More says that
// there are others after Next.
type LogLines struct {
	Lines []LogLine `cbor:"lines" json:"lines"`
	Next  uint64    `cbor:"next" json:"next"` // the Since of what comes next
	End   uint64    `cbor:"end" json:"end"`   // the number of the newest line there is, of anybody
	More  bool      `cbor:"more,omitempty" json:"more,omitempty"`
	Lost  uint64    `cbor:"lost,omitempty" json:"lost,omitempty"` // of how many actors lines after Since are no longer kept, at least
}

// LogLine is a line that a process printed. One of more than 64 KiB comes as several, of
// which all but the first begin with "… ".
type LogLine struct {
	Seq    uint64    `cbor:"seq" json:"seq"`
	Time   time.Time `cbor:"time" json:"time"`
	Actor  string    `cbor:"actor" json:"actor"`   // name, or else aid
	Stream string    `cbor:"stream" json:"stream"` // "stdout" or "stderr"
	Text   string    `cbor:"text" json:"text"`     // what is no UTF-8 replaced; cut at 4 KiB
}
