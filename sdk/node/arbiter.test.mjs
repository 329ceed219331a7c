// Unit tests of arbiter.mjs: node --test, in this directory. The dialogues and cases of sdk/conformance are the rest.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Actor, ArbiterError, FrameReader, Float, MAX_MESSAGE, UUID, Violation, appError, closeFrame, connect, current, dumps, frame, loads } from './arbiter.mjs'
import { Peer, against, connected, drained } from './peer.mjs'

const golden = name => JSON.parse(readFileSync(new URL(`../conformance/testdata/${name}`, import.meta.url), 'utf8'))

// Frames

const frames = golden('frames.json').map(c => ({
  ...c,
  data: Buffer.concat([Buffer.from(c.hex.replaceAll(' ', ''), 'hex'), Buffer.alloc(c.fill ?? 0, 'x')]),
  want: c.frames.map(([op, text]) => [op, text[0] === '*' ? Buffer.alloc(Number(text.slice(1)), 'x') : Buffer.from(text, 'latin1')])
}))

function read (chunks, limit) {
  const reader = new FrameReader(limit)
  const got = []
  try {
    for (const c of chunks) for (const [op, payload] of reader.feed(c)) got.push([op, Buffer.from(payload)])
  } catch (e) {
    if (!(e instanceof Violation)) throw e
    return { got, refused: e.code }
  }
  return { got, refused: undefined }
}

test('golden frames', () => {
  for (const c of frames) assert.deepEqual(read([c.data]), { got: c.want, refused: c.refused }, c.name)
})

test('golden frames, byte by byte', () => {
  for (const c of frames) {
    if (c.data.length > 70000) continue
    assert.deepEqual(read([...c.data].map(b => Buffer.of(b))), { got: c.want, refused: c.refused }, c.name)
  }
})

test('golden frames are written so', () => {
  for (const c of frames.filter(c => c.written)) assert.deepEqual(Buffer.concat(c.want.map(([op, p]) => frame(op, p))), c.data, c.name)
})

test('fragments do not exceed the limit together', () => {
  assert.equal(read([Buffer.from('\x01\x0512345\x80\x0567890', 'latin1')], 10).got.length, 1)
  assert.equal(read([Buffer.from('\x01\x0512345\x80\x06678901', 'latin1')], 10).refused, 1009)
})

test('the reason of a close frame is cut between characters', () => {
  const f = closeFrame(1002, 'é'.repeat(200))
  assert.ok(f.length <= 127)
  assert.equal(f.subarray(4).toString(), 'é'.repeat(61))
})

// Values

test('values that stay the same', () => {
  for (const text of golden('values.json').same) assert.equal(dumps(loads(text, { exact: true })), text)
})

test('moments', () => {
  for (const [text, ms] of Object.entries(golden('values.json').moments)) {
    const t = loads(text)
    assert.equal(t.getTime(), ms, text)
    assert.deepEqual(loads(dumps(t)), t)
  }
})

test('malformed texts', () => {
  for (const text of golden('values.json').malformed) assert.throws(() => loads(text), SyntaxError, text)
})

test('invalid values', () => {
  for (const text of golden('values.json').invalid) assert.throws(() => loads(text), { code: 'invalid' }, text)
})

test('types', () => {
  for (const v of [Buffer.from([0, 255]), new Set([1, 'a']), new Map([[1, new Map([[2, 3]])]]), new UUID('00112233-4455-6677-8899-aabbccddeeff'),
    12345678901234567890n, -(10n ** 9000n), [1, null, 'x'], { a: { b: [] } }]) assert.deepEqual(loads(dumps(v)), v)
  assert.equal(dumps([new Float(2), 2, 2n, -0, 1e21, 2 ** 53, new Uint8Array([120]), undefined, { a: undefined }]),
    '[2.0,2,2,-0.0,1e+21,9007199254740992.0,{"$bytes":"eA=="},null,{}]')
  assert.deepEqual(loads('[2.0,9007199254740993]'), [2, 9007199254740993n])
  assert.deepEqual(Object.keys(loads('{"__proto__":1,"a":2}')), ['__proto__', 'a'])
  assert.equal(loads('{"__proto__":{"polluted":1},"a":2}').polluted, undefined)
})

test('what has no image is named', () => {
  const ring = []
  ring.push(ring)
  for (const [v, place] of [[{ a: [1, { b: () => 0 }] }, 'a[1].b'], ['\ud800', 'the value'], [[new Date(NaN)], '[0]'],
    [new Map([[1, Symbol('x')]]), '[0][1]'], [ring, 'deep'], [{ e: new Error('x') }, 'e: a Error']]) {
    assert.throws(() => dumps(v), e => e.code === 'not_encodable' && e.started === false && e.message.includes(place), place)
  }
})

test('depth', () => {
  for (const [begin, end] of [['[', ']'], ['{"a":', '}'], ['{"$set":[', ']}'], ['{"$map":[[1,', ']]}']]) {
    const deep = begin.repeat(1000) + '0' + end.repeat(1000)
    const { result } = loads(`{"command":"callback","result":${deep}}`)
    assert.equal(dumps(result), deep)
    for (const more of [[result], new Set([result]), new Map([[1, result]])]) {
      assert.throws(() => dumps(more), e => e.code === 'not_encodable' && e.message.includes('more than 1000 deep'))
    }
  }
  assert.throws(() => loads('['.repeat(1e6)), SyntaxError)
})

test('bytes may be as large as a message', () => {
  const text = 'A'.repeat(MAX_MESSAGE)
  for (const [end, size] of [['', 0], ['QQ==', 1], ['QUE=', 2]]) assert.equal(loads(`{"$bytes":"${text}${end}"}`).length, MAX_MESSAGE / 4 * 3 + size)
  for (const end of ['=', '==', '====', 'A===', 'AA=A', 'AAA', 'AAA-']) assert.throws(() => loads(`{"$bytes":"${text}${end}"}`), { code: 'invalid' }, end)
})

// Arguments

test('arguments', () => {
  const actor = new Actor('x').command('f', { width: 'int', height: 'number?', name: 'string?' }, () => 0)
  const f = actor.commands.get('f')
  const refused = (args, kwargs, text) => assert.throws(() => f.bind(args, kwargs), e => e.code === 'invalid' && e.started === false && e.message.includes(text), text)
  assert.deepEqual(f.bind([1], { name: 'x' }), { width: 1, name: 'x' })
  assert.deepEqual(f.bind([1n, 2.5, null]), { width: 1n, height: 2.5, name: null })
  assert.deepEqual(f.bind([{ width: 1, height: 2 }]), { width: 1, height: 2 })
  refused([], {}, '"width" is missing')
  refused(['ten'], {}, 'argument "width": want int, got text "ten"')
  refused([1.5], {}, 'argument "width": want int, got number 1.5')
  refused([1, 2, 'x', 4], {}, '4 positional arguments, and it takes at most 3: width, height, name')
  refused([1], { hieght: 2 }, 'no argument is called "hieght"; did you mean "height"?')
  const long = 'a'.repeat(200)
  const g = actor.command('long', { [long]: 'int' }, () => 0).commands.get('long')
  assert.throws(() => g.bind([], { [`${long}b`]: 1 }), e => e.code === 'invalid' && !e.message.includes('did you mean'))
  refused([1], { width: 2 }, '"width" is given twice')
  refused(1, {}, 'args is a list')
  assert.throws(() => actor.command('g', { a: 'integer' }, () => 0), /there are any, int/)
  assert.throws(() => new Actor('x', { mode: 'parallel' }), /the mode of an actor/)
})

// Lives, against a peer that misbehaves: every call ends

test('a client says so', async () => {
  let hello
  await connected(async p => {
    hello = await p.welcome()
    const m = await p.next()
    p.say({ command: 'callback', ack: m.ack, result: [m.args, m.kwargs] })
    assert.equal((await p.next()).command, 'goodbye')
  }, async me => assert.deepEqual(await me.call('tally', 'add', [1], { kwargs: { b: 2 } }), [[1], { b: 2 }]))
  assert.deepEqual([hello.calls, hello.token, 'commands' in hello], [true, 'secret', false])
})

test('nobody answers', async () => {
  await connected(async p => { await p.welcome(); await drained(p) }, async me => {
    await assert.rejects(me.call('tally', 'add', [], { timeout: 50 }), { code: 'deadline' })
    await assert.rejects(me.call('tally', 'add', [], { timeout: 0 }), { code: 'deadline', started: false })
    await assert.rejects(me.call('tally', 'add', [() => 0]), { code: 'not_encodable', started: false, command: 'add' })
    const abort = new AbortController()
    const call = me.call('tally', 'add', [], { signal: abort.signal })
    abort.abort()
    await assert.rejects(call, { code: 'canceled' })
  })
})

test('times without end', async t => {
  const made = []
  const { setInterval } = globalThis
  t.mock.method(globalThis, 'setInterval', (f, ms) => { made.push(ms); return setInterval(f, 1000) })
  await connected(async p => {
    await p.welcome({ heartbeat: 2 ** 32 - 1 })
    for (let m = await p.next(); m.ack; m = await p.next()) p.say({ command: 'callback', ack: m.ack, result: m.timeout })
  }, async me => {
    for (const timeout of [Infinity, 2 ** 31, 2 ** 32, 2 ** 31 - 41]) assert.equal(await me.call('tally', 'add', [], { timeout }), 2 ** 31 - 41)
    await assert.rejects(me.call('tally', 'add', [], { timeout: NaN }), { code: 'deadline', started: false })
  })
  assert.deepEqual(made, [2 ** 31 - 1])
})

test('the arbiter is gone', async () => {
  await connected(async p => { await p.welcome(); await p.next() }, async me => {
    await assert.rejects(me.call('tally', 'add'), { code: 'closed' })
    await assert.rejects(me.call('tally', 'add'), { code: 'closed', started: false })
    await assert.rejects(me.send('tally', 'add'), { code: 'closed' })
  })
})

test('who waits for room leaves nothing behind', { timeout: 60_000 }, async () => {
  for (const max of [1000, 100_000]) {
    let go
    const rested = new Promise(resolve => { go = resolve })
    let came = 0
    await connected(async p => {
      await p.welcome({ max_message: max })
      p.socket.pause()
      await rested
      p.socket.resume()
      for (let m = await p.next(); m.command === 'add'; m = await p.next()) came++
    }, async me => {
      const { socket } = me.life
      const listeners = () => socket.listenerCount('drain') + socket.listenerCount('close')
      const before = listeners()
      const text = 'x'.repeat(max * 0.9)
      const sent = []
      while (socket.writableLength < 10 * max) sent.push(me.send('tally', 'add', [text]))
      await Promise.resolve()
      assert.ok(listeners() <= before + 2, 'all wait together')
      go()
      await Promise.all(sent)
      assert.equal(listeners(), before)
      await me.send('tally', 'add')
    })
    assert.ok(came > 10)
  }
})

test('errors keep their code', async () => {
  const errors = [
    { code: 'down', message: 'exited', started: true, death: { cause: 'exit', code: 3 } },
    { code: 'cycle', message: 'never', path: ['a', 'b'] }, { code: 'brand_new', message: '?' }, { code: 'app', app: 'no_rows', message: 'none' }
  ]
  await connected(async p => {
    await p.welcome()
    for (const error of errors) p.say({ command: 'callback', ack: (await p.next()).ack, error })
    p.say({ command: 'callback', ack: (await p.next()).ack, result: { $new: 1 } })
  }, async me => {
    await assert.rejects(me.call('tally', 'add'), e => e instanceof ArbiterError && e.code === 'down' && e.death.code === 3 && e.message === 'call add on "tally": exited')
    await assert.rejects(me.call('tally', 'add'), { code: 'cycle', path: ['a', 'b'] })
    await assert.rejects(me.call('tally', 'add'), { code: 'brand_new' })
    await assert.rejects(me.call('tally', 'add'), { code: 'app', app: 'no_rows' })
    await assert.rejects(me.call('tally', 'add'), { code: 'invalid', started: true })
  })
})

test('refused, or nobody there', async () => {
  await against(async p => {
    await p.next()
    p.say({ command: 'error', error: { code: 'refused', message: 'a wrong token' } })
    await drained(p)
  }, address => assert.rejects(new Actor('x').serve({ address, signals: false }), { code: 'refused' }))
  await assert.rejects(new Actor('x').serve({ address: 'unix:/nowhere/at/all', signals: false }), { code: 'closed' })
  await assert.rejects(new Actor('x').serve({ address: 'nowhere', signals: false }), { code: 'closed' })
})

test('who joins again has the token of the environment again', async t => {
  t.after(() => { delete process.env.ARBITER_ADDR })
  const hellos = []
  const refuses = async p => {
    hellos.push(await p.next())
    p.say({ command: 'error', error: { code: 'refused', message: 'too early' } })
    await drained(p)
  }
  const joins = options => address => {
    process.env.ARBITER_ADDR = address
    return assert.rejects(connect(options), { code: 'refused' })
  }
  process.env.ARBITER_TOKEN = 'secret'
  await against(refuses, joins())
  assert.equal('ARBITER_TOKEN' in process.env, false)
  await against(refuses, joins())
  await against(refuses, joins({ token: 'own' }))
  process.env.ARBITER_TOKEN = 'new'
  await against(refuses, joins())
  await against(refuses, address => assert.rejects(connect({ address }), { code: 'refused' }))
  assert.deepEqual(hellos.map(h => h.token), ['secret', 'secret', 'own', 'new', undefined])
})

test('a handler has its request, and what it calls has its parent', async () => {
  const actor = new Actor('x').command('work', { n: 'int' }, async ({ n }, request) => {
    assert.equal(current(), request)
    assert.equal(request.sender, 'who-1')
    return actor.call('tally', 'double', [n])
  })
  const death = await against(async p => {
    await p.welcome()
    p.say({ command: 'work', target: 'me-1', sender: 'who-1', args: [21], ack: '7', timeout: 20000 })
    const m = await p.next()
    assert.equal(m.parent, '7')
    assert.ok(m.timeout <= 20000)
    p.say({ command: 'callback', ack: m.ack, result: 42 })
    assert.deepEqual(await p.next(), { command: 'callback', ack: '7', result: 42 })
    p.say({ command: 'stop', reason: 'enough' })
    await drained(p)
  }, address => actor.serve({ address, signals: false }))
  assert.deepEqual(death, { cause: 'stopped', reason: 'enough' })
})

test('a start that fails', async t => {
  t.mock.method(console, 'error', () => {})
  const said = []
  const actor = new Actor('x').onStart(() => { throw new RangeError('no paper') })
  const death = await against(async p => {
    await p.welcome()
    said.push(await p.next())
  }, address => actor.serve({ address, signals: false }))
  assert.deepEqual(death, { cause: 'start', reason: 'RangeError: no paper' })
  assert.deepEqual(said, [{ command: 'goodbye', death }])
})

test('a result without an image', async () => {
  const actor = new Actor('x').command('odd', {}, () => ({ when: [() => 0] })).command('own', {}, () => { throw appError('mine', 'no') })
  await against(async p => {
    await p.welcome()
    p.say({ command: 'odd', target: 'me-1', ack: '1' })
    const { error } = await p.next()
    assert.deepEqual([error.code, error.started, error.message.includes('result.when[0]')], ['not_encodable', true, true])
    p.say({ command: 'own', target: 'me-1', ack: '2' })
    assert.deepEqual((await p.next()).error, { code: 'app', message: 'no', app: 'mine', started: true })
    p.say({ command: 'stop' })
    await drained(p)
  }, address => actor.serve({ address, signals: false }))
})

// Programs

const here = fileURLToPath(new URL('.', import.meta.url))
const clean = Object.fromEntries(Object.entries(process.env).filter(([k]) => !k.startsWith('ARBITER_')))

async function run (text, env = {}) {
  const p = spawn(process.execPath, ['--input-type=module', '-e', text], { cwd: here, env: { ...clean, ...env } })
  let stdout = ''
  let stderr = ''
  p.stdout.on('data', d => { stdout += d })
  p.stderr.on('data', d => { stderr += d })
  const [code] = await once(p, 'close')
  return { code, stdout, stderr }
}

test('a program without an arbiter', async () => {
  const { code, stdout, stderr } = await run("import { Actor } from './arbiter.mjs'; new Actor('x').run()")
  assert.deepEqual([code, stdout], [2, ''])
  assert.match(stderr, /there is no arbiter to join.*arbiter run --messages -- /)
})

test('a program that cannot join', async () => {
  const { code, stdout } = await run("import { Actor } from './arbiter.mjs'; new Actor('x').run()", { ARBITER_ADDR: 'unix:/nowhere/at/all' })
  assert.deepEqual([code, stdout], [1, ''])
})

test('a program that inherits its connection', async () => {
  const text = "import { Actor } from './arbiter.mjs'; new Actor('x').command('env', {}, () => process.env.ARBITER_FD).run()"
  const p = spawn(process.execPath, ['--input-type=module', '-e', text], { cwd: here, env: { ...clean, ARBITER_FD: '3' }, stdio: ['ignore', 'inherit', 'inherit', 'pipe'] })
  const peer = new Peer(p.stdio[3])
  assert.equal('token' in await peer.welcome(), false)
  peer.say({ command: 'env', target: 'me-1', ack: '1' })
  assert.equal((await peer.next()).result, null)
  peer.say({ command: 'stop' })
  assert.equal((await peer.next()).command, 'goodbye')
  p.stdio[3].destroy()
  assert.deepEqual(await once(p, 'close'), [0, null])
})
