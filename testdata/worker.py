"""A worker in Python for the tests: the native profile (docs/protocol.md) with the
standard library only, as short as one can be that lives and dies properly."""
import ctypes, os, queue, re, signal, socket, struct, sys, threading, time

HELLO, WELCOME, REQUEST, REPLY, ERROR = 1, 2, 3, 4, 5
UNDELIVERED, CREDIT, NOTIFY, STOP, GOODBYE = 7, 11, 14, 15, 16
ONE_WAY, ARGS = 1, 8
HEADER = struct.Struct('>BBBBIQBBH')
WINDOW = (int(os.environ.get('WORKER_INBOX', 1000)), 1 << 20)


def dumps(v):
    """CBOR, RFC 8949: what these messages need of it."""
    def head(major, n):
        for code, form in ((24, '>B'), (25, '>H'), (26, '>I'), (27, '>Q')):
            if n < 24:
                return bytes([major << 5 | n])
            if n < 1 << 8 * struct.calcsize(form):
                return bytes([major << 5 | code]) + struct.pack(form, n)
    if v is None or isinstance(v, bool):
        return {None: b'\xf6', True: b'\xf5', False: b'\xf4'}[v]
    if isinstance(v, int):
        return head(0, v) if v >= 0 else head(1, -1 - v)
    if isinstance(v, float):
        return b'\xfb' + struct.pack('>d', v)
    if isinstance(v, bytes):
        return head(2, len(v)) + v
    if isinstance(v, str):
        return head(3, len(v.encode())) + v.encode()
    if isinstance(v, dict):
        return head(5, len(v)) + b''.join(dumps(k) + dumps(x) for k, x in v.items())
    return head(4, len(v)) + b''.join(map(dumps, v))


def loads(b):
    def item(at):
        major, n = b[at] >> 5, b[at] & 31
        at += 1
        if n > 23:
            size = 1 << n - 24
            n = b[at:at + size] if major == 7 else int.from_bytes(b[at:at + size], 'big')
            at += size
        if major < 2:
            return (n if major == 0 else -1 - n), at
        if major < 4:
            return (b[at:at + n] if major == 2 else b[at:at + n].decode()), at + n
        if major == 7:
            return ({20: False, 21: True}.get(n) if isinstance(n, int) else struct.unpack('>d', n)[0]), at
        out = []
        for _ in range(n * (major - 3)):
            v, at = item(at)
            out.append(v)
        return (out if major == 4 else dict(zip(out[::2], out[1::2]))), at
    return item(0)[0] if b else None


class Failure(Exception):
    """An error for the caller. Any other exception is the worker's end."""


class Worker:
    def __init__(self):
        self.lock, self.jobs = threading.Lock(), queue.Queue()
        self.taken = self.cost = self.started = self.accepted = 0
        self.told, self.deaf = (0, 0), False
        self.handling, self.since, self.settings = '', 0, {}
        self.sock, token = self.connect()
        self.file = self.sock.makefile('rb')
        version = int(os.environ.get('WORKER_VERSION', 1))
        hello = {3: 'python', 8: {1: WINDOW[0], 2: WINDOW[1]}, 9: os.getpid(), 10: 'python', 7: [{1: 'double'}, {1: 'die'}]}
        self.send(HELLO, codec=1, millis=version, id=version, body=dumps({**hello, **({2: token} if token else {})}))
        kind, _, _, _, command, body, _ = self.receive()
        if kind != WELCOME:
            raise SystemExit('refused: %s: %s' % (command, (loads(body) or {}).get('m')))
        welcome = loads(body)
        self.interval = welcome[7] / 1000
        self.settings = loads(welcome[12]) if 12 in welcome else {}

    def connect(self):
        """The inherited socket, or where that was closed on the way, the address."""
        try:
            sock = socket.socket(fileno=int(os.environ['ARBITER_FD']))
            sock.getpeername()
            return sock, ''
        except (OSError, KeyError):
            kind, _, where = os.environ['ARBITER_ADDR'].partition(':')
            if kind == 'unix':
                sock = socket.socket(socket.AF_UNIX)
                sock.connect(where)
            else:
                host, _, port = where.rpartition(':')
                sock = socket.create_connection((host, int(port)))
            return sock, os.environ['ARBITER_TOKEN']

    def send(self, kind, flags=0, codec=0, millis=0, id=0, target='', command='', body=b''):
        m = HEADER.pack(kind, flags, codec, len(target), millis, id, 0, len(command), 0)
        m += target.encode() + command.encode() + body
        n = len(m)
        size = bytes([n]) if n < 126 else b'\x7e' + struct.pack('>H', n) if n < 65536 else b'\x7f' + struct.pack('>Q', n)
        with self.lock:
            self.sock.sendall(b'\x82' + size + m)

    def receive(self):
        n = self.exactly(2)[1]
        if n > 125:
            n = int.from_bytes(self.exactly(2 if n == 126 else 8), 'big')
        m = self.exactly(n)
        kind, flags, codec, target, _, id, sender, command, ext = HEADER.unpack_from(m)
        at = HEADER.size + target + sender + command
        return kind, flags, codec, id, m[at - command:at].decode(), m[at + ext:], (n + 192, m[at - command - sender:at - command].decode())

    def exactly(self, n):
        b = self.file.read(n)
        if len(b) < n:
            raise EOFError('the arbiter is gone')
        return b

    def read(self):
        try:
            while True:
                kind, flags, codec, id, command, body, (cost, sender) = self.receive()
                if kind == STOP:
                    self.jobs.put(body.decode())
                elif kind == REQUEST:
                    self.accepted += 1
                    if command in ('ping', 'info', 'stop'):
                        self.began(cost)
                        if command == 'stop':
                            self.jobs.put('asked to')
                        elif not flags & ONE_WAY:
                            self.send(REPLY, codec=1, id=id, body=dumps('pong' if command == 'ping' else self.info()))
                    else:
                        self.jobs.put((id, flags, codec, command, body, cost))
        except (EOFError, OSError):
            if not self.deaf:
                os._exit(1)

    def info(self):
        since = int((time.monotonic() - self.since) * 1e9) if self.handling else 0
        return {'handling': self.handling, 'since': since, 'accepted': self.accepted, 'started': self.started,
                'inbox': self.jobs.qsize(), 'pid': os.getpid(), 'extra': {'python': sys.version.split()[0]}}

    def beat(self):
        while True:
            time.sleep(self.interval)
            self.send(NOTIFY, codec=1, body=dumps(self.info()))

    def began(self, cost):
        """What is begun is room for others: told at half of the window."""
        self.started += 1
        self.taken, self.cost = self.taken + 1, self.cost + cost
        if 2 * (self.taken - self.told[0]) >= WINDOW[0] or 2 * (self.cost - self.told[1]) >= WINDOW[1]:
            self.told = self.taken, self.cost
            self.send(CREDIT, codec=3, id=self.taken, body=struct.pack('>QQ', self.cost, self.started))

    def run(self):
        self.send(NOTIFY)
        threading.Thread(target=self.read, daemon=True).start()
        threading.Thread(target=self.beat, daemon=True).start()
        while True:
            job = self.jobs.get()
            if isinstance(job, str):
                return self.leave({'c': 'stopped', 'r': job})
            id, flags, codec, command, body, cost = job
            self.handling, self.since = command, time.monotonic()
            self.began(cost)
            args, kwargs = (loads(body) if flags & ARGS else ([loads(body)] if body else [], {}))
            try:
                method = getattr(self, 'do_' + command, None)
                if method is None:
                    self.send(ERROR, 1, 1, id=id, command='unknown_command', body=dumps({'m': 'no command ' + command}))
                    continue
                out = method(*args, **kwargs)
                if not flags & ONE_WAY and out is not Ellipsis:
                    self.send(REPLY, codec=1, id=id, body=dumps(out))
            except Failure as e:
                self.send(ERROR, 2, 1, id=id, command='app', body=dumps({'m': str(e), 'a': 'no_rows'}))
            finally:
                self.handling = ''

    def leave(self, death):
        self.send(GOODBYE, codec=1, body=dumps(death))
        self.sock.shutdown(socket.SHUT_WR)
        os._exit(0)

    def do_double(self, n):
        return 2 * n

    def do_block(self, *_):
        return ...  # never answered

    def do_slow(self, nanoseconds):
        time.sleep(nanoseconds / 1e9)
        return True

    def do_setting(self, name):
        return self.settings.get(name)

    def do_retire(self, *_):
        self.leave({'c': 'stopped', 'r': 'enough', 'f': True})

    def do_die(self, way):
        print('about to', way, file=sys.stderr)
        if way == 'error':
            raise Failure('select orders: no such rows')
        if way == 'panic':
            raise ValueError('boom 17')
        if way == 'leave':
            os._exit(0)
        if way == 'exit':
            print('no such table: orders', file=sys.stderr, flush=True)
            os._exit(3)
        if way == 'segv':
            ctypes.string_at(0)
        if way in ('memory', 'address space'):
            eaten = [bytearray(16 << 20) for _ in range(64)]  # not more: the bound may not hold
            raise Failure('%d MiB are eaten' % (16 * len(eaten)))
        if way == 'hang':
            time.sleep(600)
        if way == 'spin':
            re.match('(a+)+$', 'a' * 64 + 'b')  # holds the interpreter: no heartbeat either
        if way == 'cut':
            self.deaf = True
            self.sock.shutdown(socket.SHUT_RDWR)
            time.sleep(600)
        raise Failure('no way to ' + way)


def early():
    """Ends before the hello once the file is there: what a broken import does."""
    while not os.path.exists(os.environ['TEST_EARLY']):
        time.sleep(0.002)
    raise ImportError('no module named orders')


if __name__ == '__main__':
    if 'TEST_EARLY' in os.environ:
        early()
    Worker().run()
