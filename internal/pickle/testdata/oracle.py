"""The CPython side of oracle_test.go.

    oracle.py generate SEED COUNT   writes COUNT pickles of random values
    oracle.py compare               reads pairs of pickles, says which load as different values
    oracle.py repr                  reads pickles, writes the repr of what each loads as

A pickle is preceded by its length in four bytes, big-endian. Nothing is executed
but the constructors in REAL: every other global becomes a stub.
"""
import codecs
import collections
import datetime
import decimal
import io
import pickle
import random
import struct
import sys
import uuid



def sparing(make):
    """Refuses bytes(n), which takes n bytes of memory."""
    def made(*args):
        if args and not isinstance(args[0], (str, bytes)):
            raise TypeError('not made here')
        return make(*args)
    return made


REAL = {
    ('_codecs', 'encode'): codecs.encode,
    ('__builtin__', 'bytes'): sparing(bytes),
    ('__builtin__', 'bytearray'): sparing(bytearray),
    ('__builtin__', 'set'): set,
    ('__builtin__', 'frozenset'): frozenset,
    ('__builtin__', 'complex'): complex,
    ('datetime', 'date'): datetime.date,
    ('datetime', 'time'): datetime.time,
    ('datetime', 'datetime'): datetime.datetime,
    ('datetime', 'timedelta'): datetime.timedelta,
    ('datetime', 'timezone'): datetime.timezone,
    ('decimal', 'Decimal'): decimal.Decimal,
    ('uuid', 'UUID'): uuid.UUID,
    ('collections', 'OrderedDict'): collections.OrderedDict,
    ('collections', 'deque'): collections.deque,
}


class Meta(type):
    def __repr__(cls):
        return 'a ' + cls.__name__

    def __call__(cls, *args):
        return cls.make('call', args)


class Stub(metaclass=Meta):
    def __new__(cls, *args):
        return cls.make('new', args)

    @classmethod
    def make(cls, how, args):
        o = object.__new__(cls)
        o.how, o.args, o.listed, o.paired, o.states = how, list(args), [], [], []
        return o

    def append(self, item):
        self.listed.append(item)

    def extend(self, items):
        self.listed.extend(items)

    def __setitem__(self, key, value):
        self.paired.append([key, value])

    def __setstate__(self, state):
        # A pickler repeats the state of what holds itself.
        if not any(s is state for s in self.states):
            self.states.append(state)

    def __repr__(self):
        return '<%s %r %s %r %r %r>' % (type(self).__name__, self.args, self.how, self.listed, self.paired, self.states)


def load(data):
    stubs = {}

    def stub(name):
        if name not in stubs:
            stubs[name] = Meta(name, (Stub,), {})
        return stubs[name]

    class Unpickler(pickle.Unpickler):
        def find_class(self, module, name):
            if (module, name) in REAL:
                return REAL[module, name]
            if (module, name) == ('__builtin__', 'getattr'):
                return lambda parent, attr: stub('%s.%s' % (parent.__name__, attr))
            return stub(module + ' ' + name)

    return Unpickler(io.BytesIO(data)).load()


def plain(v, depth=6):
    """A text to sort by, the same for equal values."""
    if depth == 0:
        return ''
    if isinstance(v, Stub):
        return '%s %s %s' % (type(v).__name__, v.how, [plain(x, depth - 1) for x in (v.args, v.listed, v.paired, v.states)])
    if isinstance(v, dict):
        return 'dict %s' % [(plain(k, depth - 1), plain(x, depth - 1)) for k, x in v.items()]
    if isinstance(v, (list, tuple, collections.deque)):
        return '%s %s' % (type(v).__name__, [plain(x, depth - 1) for x in v])
    if isinstance(v, (set, frozenset)):
        return '%s %s' % (type(v).__name__, sorted(plain(x, depth - 1) for x in v))
    return repr(v)


def states(o):
    """The states of o. Those of an ActorProxy are attributes, in no order."""
    if type(o).__name__ == 'copy_reg _reconstructor':
        return [dict(sorted(s.items(), key=plain)) if isinstance(s, dict) else s for s in o.states]
    return o.states


MUTABLE = (list, dict, set, bytearray, collections.deque, Stub)


def difference(a, b):
    """Why a and b are not the same value with the same sharing, or None."""
    there, back = {}, {}
    kept = [a, b]  # what is alive keeps its id
    todo = [(a, b)]
    done = set()
    while todo:
        a, b = todo.pop()
        if isinstance(a, type) and isinstance(b, type):
            if a.__name__ != b.__name__:
                return '%r is not %r' % (a, b)
            continue
        if type(a) is not type(b) and not (isinstance(a, Stub) and isinstance(b, Stub) and type(a).__name__ == type(b).__name__):
            return '%.100r is not %.100r' % (a, b)
        if isinstance(a, MUTABLE):
            if there.setdefault(id(a), id(b)) != id(b) or back.setdefault(id(b), id(a)) != id(a):
                return '%.100r is shared in one and not in the other' % (a,)
        if (id(a), id(b)) in done:
            continue
        done.add((id(a), id(b)))
        if isinstance(a, Stub):
            if a.how != b.how:
                return '%.100r is not %.100r' % (a, b)
            todo += [(a.listed, b.listed), (a.paired, b.paired), (states(a), states(b))]
            kept += todo[-1]
            todo += [(a.args, b.args)]
        elif isinstance(a, (list, tuple, collections.deque)):
            if len(a) != len(b) or getattr(a, 'maxlen', 0) != getattr(b, 'maxlen', 0):
                return '%.100r is not %.100r' % (a, b)
            todo += zip(a, b)
        elif isinstance(a, dict):
            if len(a) != len(b):
                return '%.100r is not %.100r' % (a, b)
            todo += zip(a.keys(), b.keys())
            todo += zip(a.values(), b.values())
            if isinstance(a, collections.OrderedDict):
                todo.append((sorted(vars(a).items()), sorted(vars(b).items())))
                kept += todo[-1]
        elif isinstance(a, (set, frozenset)):
            if len(a) != len(b):
                return '%.100r is not %.100r' % (a, b)
            todo += zip(sorted(a, key=plain), sorted(b, key=plain))
        elif isinstance(a, float):
            if struct.pack('>d', a) != struct.pack('>d', b):
                return '%r is not %r' % (a, b)
        elif isinstance(a, complex):
            todo += [(a.real, b.real), (a.imag, b.imag)]
        elif isinstance(a, uuid.UUID):
            todo.append((getattr(a, 'int', None), getattr(b, 'int', None)))
        elif isinstance(a, decimal.Decimal):
            if str(a) != str(b):
                return '%r is not %r' % (a, b)
        elif isinstance(a, (datetime.datetime, datetime.time)):
            # Not repr, nor ==: CPython loads times that do not exist.
            if a.__reduce_ex__(2)[1][0] != b.__reduce_ex__(2)[1][0]:
                return 'one %s is not another' % type(a).__name__
            todo.append((a.tzinfo, b.tzinfo))
        elif isinstance(a, datetime.timezone):
            if a.__getinitargs__() != b.__getinitargs__():
                return '%r is not %r' % (a, b)
        elif a != b:
            return '%.100r is not %.100r' % (a, b)
    return None


# What random values are made of.

class Thing:
    pass


class Slots:
    __slots__ = ('a', 'b')


class Outer:
    class Inner:
        pass


class Listed(list):
    pass


class Mapped(dict):
    pass


class Called:
    """An object that holds itself in its arguments, if its list does."""

    def __init__(self, items):
        self.items = items

    def __reduce__(self):
        return Called, (self.items,)


Point = collections.namedtuple('Point', 'x y')


class Generator:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def value(self):
        self.made, self.count = [], 0
        v = self.any(self.r.randrange(1, 6))
        for _ in range(self.r.choice((0, 0, 0, 1, 2, 5))):
            self.tie()
        return v

    def tie(self):
        """Puts something made into something made, often around it."""
        r = self.r
        if not self.made:
            return
        into, what = r.choice(self.made), r.choice(self.made)
        if isinstance(into, (list, collections.deque)):
            into.append(what)
        elif isinstance(into, dict):
            into[r.choice('abc')] = what
        elif isinstance(into, (Thing, Outer.Inner)):
            into.tied = what

    def keep(self, v):
        self.made.append(v)
        return v

    def any(self, depth):
        r = self.r
        if self.made and r.random() < 0.15:
            return r.choice(self.made)
        if depth <= 0 or r.random() < 0.3:
            return r.choice(self.LEAVES)(self)
        return self.keep(r.choice(self.BRANCHES)(self, depth - 1))

    def key(self):
        r = self.r
        return r.choice((self.text, self.text, self.int, self.data, self.date, self.tuple0, self.float_key))()

    def int(self):
        r = self.r
        if r.random() < 0.4:
            return r.randrange(300)
        return r.choice((1, -1)) * ((1 << r.choice((7, 8, 15, 16, 31, 32, 63, 64, 127, 1000, 2047, 2048))) + r.randrange(-2, 3))

    def float(self):
        r = self.r
        return r.choice((0.0, -0.0, 1.5, float('inf'), float('-inf'), float('nan'), r.random(), r.expovariate(1e-9)))

    def float_key(self):
        return self.r.random()

    def text(self):
        r = self.r
        alphabet = r.choice(('abc', 'abc', 'a\x00\n\\', 'a\xe9\xff', 'a\u0100\u20ac\U0001f600', '\ud800\udc00a'))
        return ''.join(r.choice(alphabet) for _ in range(r.choice((0, 1, 2, 5, 40, 300))))

    def data(self):
        r = self.r
        return bytes(r.randrange(r.choice((128, 256))) for _ in range(r.choice((0, 1, 2, 5, 40, 300))))

    def zone(self):
        r = self.r
        return r.choice((
            None, None, datetime.timezone.utc,
            datetime.timezone(datetime.timedelta(minutes=r.randrange(-1439, 1440))),
            datetime.timezone(datetime.timedelta(hours=1), r.choice(('', 'CET')))))

    def date(self):
        return datetime.date.fromordinal(self.r.randrange(1, datetime.date.max.toordinal() + 1))

    def time(self):
        r = self.r
        return datetime.time(r.randrange(24), r.randrange(60), r.randrange(60), r.choice((0, r.randrange(10**6))), self.zone())

    def moment(self):
        return datetime.datetime.combine(self.date(), self.time())

    def delta(self):
        r = self.r
        return datetime.timedelta(r.randrange(-10**9 + 1, 10**9), r.randrange(86400), r.randrange(10**6))

    def decimal(self):
        r = self.r
        return decimal.Decimal(r.choice(('0', '-0', '1.10', '1E+30', '-1.5E-7', 'NaN', '-sNaN12', 'Infinity', '-Infinity', str(r.random()))))

    def tuple0(self):
        return ()

    def thing0(self):
        v = self.keep(Thing())
        self.count += 1
        v.number = self.count  # what lies in a set is told apart by it
        return v

    LEAVES = [
        lambda g: None, lambda g: True, lambda g: False, int, float, text, text, data, tuple0, zone, date, time, moment, delta, decimal,
        lambda g: uuid.UUID(int=g.r.getrandbits(g.r.choice((1, 64, 128)))),
        lambda g: complex(g.float(), g.float()),
        lambda g: g.keep(bytearray(g.data())),
        lambda g: g.r.choice((range(1, 10, 2), Ellipsis, int, len, Thing, Outer.Inner, ValueError, collections.OrderedDict, set)),
        thing0,
    ]

    def many(self, depth):
        r = self.r
        n = r.choice((0, 1, 2, 3, 4, 5, 8))
        if depth == 0 and r.random() < 0.02:
            n = r.choice((999, 1000, 1001, 2000, 2001))
            return [r.randrange(300) for _ in range(n)]
        return [self.any(depth) for _ in range(n)]

    def list(self, depth):
        # Made before what is in it, so that it may be in it.
        v = self.keep([])
        v.extend(self.many(depth))
        return v

    def dict(self, depth):
        v = self.keep({})
        for x in self.many(depth):
            v[self.key()] = x
        return v

    def ordered(self, depth):
        v = self.keep(collections.OrderedDict())
        for x in self.many(depth):
            v[self.key()] = x
        if self.r.random() < 0.2:
            v.note = self.any(depth)
        return v

    def deque(self, depth):
        v = self.keep(collections.deque(maxlen=self.r.choice((None, None, 3))))
        v.extend(self.many(depth))
        return v

    def hashables(self):
        return [self.r.choice((self.key, self.thing0))() for _ in range(self.r.choice((0, 1, 2, 5)))]

    def thing(self, depth):
        v = self.keep(Thing())
        for name in self.r.sample('abcde', self.r.randrange(4)):
            setattr(v, name, self.any(depth))
        return v

    def slots(self, depth):
        v = self.keep(Slots())
        v.a = self.any(depth)
        return v

    def filled(self, depth):
        v = self.keep(self.r.choice((Listed, Mapped))())
        if isinstance(v, Listed):
            v.extend(self.many(depth))
        else:
            for x in self.many(depth):
                v[self.key()] = x
        if self.r.random() < 0.5:
            v.note = self.any(depth)
        return v

    def default(self, depth):
        v = self.keep(collections.defaultdict(list))
        for x in self.many(depth):
            v[self.key()] = x
        return v

    def inner(self, depth):
        v = self.keep(Outer.Inner())
        v.a = self.any(depth)
        return v

    def called(self, depth):
        items = self.list(depth)
        v = self.keep(Called(items))
        if self.r.random() < 0.3:
            items.append(v)
        return v

    def tied_set(self, depth):
        o = self.thing0()
        v = self.r.choice((set, frozenset))([o, self.key()])
        if self.r.random() < 0.5:
            o.owner = v
        return v

    BRANCHES = [
        list, list, dict, dict, ordered, deque, thing, slots, filled, default, inner, called, tied_set,
        lambda g, d: tuple(g.many(d)),
        lambda g, d: tuple(g.many(d)),
        lambda g, d: set(g.hashables()),
        lambda g, d: frozenset(g.hashables()),
        lambda g, d: Point(g.any(d), g.any(d)),
        lambda g, d: ValueError(*g.many(d)),
    ]


def generate(seed, count):
    g = Generator(seed)
    for i in range(count):
        dumps = (pickle.dumps, pickle._dumps)[i % 5 == 4]
        yield dumps(g.value(), 2)


def read(f):
    while True:
        head = f.read(4)
        if not head:
            return
        yield f.read(struct.unpack('>I', head)[0])


def main(mode, *args):
    if mode == 'generate':
        for p in generate(int(args[0]), int(args[1])):
            sys.stdout.buffer.write(struct.pack('>I', len(p)) + p)
    elif mode == 'compare':
        pickles = read(sys.stdin.buffer)
        count = neither = 0
        for a in pickles:
            b = next(pickles)
            values, errors = [], []
            for data in a, b:
                try:
                    values.append(load(data))
                except Exception as e:
                    errors.append('%s: %s' % (type(e).__name__, e))
            # An object that cannot be made is no business of who passes it on.
            if len(errors) == 1:
                why = 'only one of two loads: ' + errors[0]
            else:
                why = None if errors else difference(*values)
                neither += len(errors) // 2
            if why:
                print('%d: %s' % (count, why.encode('ascii', 'backslashreplace').decode()))
            count += 1
        print('compared %d, of which neither loads: %d' % (count, neither))
    elif mode == 'repr':
        for p in read(sys.stdin.buffer):
            try:
                text = repr(load(p))
            except Exception as e:
                text = 'loading: %s: %s' % (type(e).__name__, e)
            print(text.encode('ascii', 'backslashreplace').decode())


main(*sys.argv[1:])
