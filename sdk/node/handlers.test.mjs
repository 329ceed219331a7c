// Unit tests of arbiter.mjs: whatever a handler does is answered, and its actor lives on.

import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { test } from 'node:test'
import { Actor, ArbiterError, TEXT, appError, current, frame } from './arbiter.mjs'
import { against, drained, served } from './peer.mjs'

// Whoever is asked for its words refuses.
const unspeakable = { toString () { throw new Error('no words') }, [inspect.custom] () { throw new Error('no picture') } }
const silent = t => t.mock.method(console, 'error', (...all) => { for (const v of all) inspect(v) })

/** Asks for each command, with its arguments, and wants its answer to have what is said. */
async function answers (actor, asked) {
  const death = await served(actor, async p => {
    for (const [command, args, want] of asked) {
      p.say({ command, target: 'me-1', args, ack: '1', timeout: 20000 })
      const m = await p.next()
      const got = m.error ?? m
      assert.deepEqual(Object.fromEntries(Object.keys(want).map(k => [k, got[k]])), want, command)
    }
  })
  assert.equal(death.cause, 'stopped')
}

test('whatever is thrown is answered', async t => {
  silent(t)
  const cases = [
    [null, 'Error', 'Error'], [undefined, 'Error', 'Error'], ['text', 'String', 'text'], [Object.create(null), 'Error', 'Error'], [unspeakable, 'Object', 'Object'],
    [{ get message () { throw new Error('no') }, constructor: null }, 'Error', '[object Object]'], [Object.assign(new Error('x'), { message: unspeakable }), 'Error', /^Error/],
    [new RangeError('too far'), 'RangeError', 'too far'], [appError(404, 'not there'), '404', 'not there'], [appError('own', new Error('inner')), 'own', 'Error: inner'],
    [{ get constructor () { throw new Error('no') } }, 'Error', '[object Object]'], [{ constructor: { name: unspeakable } }, 'Error', '[object Object]'],
    [appError(unspeakable, 'x'), '', 'x'], [appError('own', unspeakable), 'own', 'app'], [new Error('half \ud83d'), 'Error', 'half \ufffd'],
    [new Error('x'.repeat(100000)), 'Error', 'x'.repeat(8192)], [new ArbiterError('down', 'it is gone'), 'down', 'it is gone']
  ]
  const actor = new Actor('x').command('raise', { n: 'int', late: 'boolean' }, ({ n, late }) => {
    if (!late) throw cases[n][0]
    return Promise.reject(cases[n][0])
  })
  await served(actor, async p => {
    for (const [n, [, app, message]] of cases.entries()) {
      for (const late of [false, true]) {
        p.say({ command: 'raise', target: 'me-1', args: [n, late], ack: '1' })
        const { error } = await p.next()
        assert.deepEqual([error.code, error.app, error.started], ['app', app, true], `case ${n}`)
        if (message instanceof RegExp) assert.match(error.message, message)
        else assert.equal(error.message, message, `case ${n}`)
      }
    }
  })
})

test('whatever is returned is answered', async t => {
  silent(t)
  const results = {
    throws: { toJSON () { throw new RangeError('not now') } },
    getter: { get a () { throw null } }, // eslint-disable-line no-throw-literal
    endless: { toJSON () { return this } },
    hidden: new Proxy({}, { getPrototypeOf () { throw Object.create(null) } }),
    then: { get then () { throw new Error('not then') } },
    long: { toJSON () { return 'x'.repeat(2 ** 29) } }
  }
  const actor = new Actor('x')
  for (const [name, v] of Object.entries(results)) actor.command(name, {}, () => v)
  actor.command('large', {}, () => Buffer.alloc(402653184)) // a text of it is longer than Node's may be
  const no = { code: 'not_encodable', started: true }
  await answers(actor, [
    ['throws', [], { ...no, message: 'cannot encode the value: RangeError: not now' }], ['getter', [], no], ['endless', [], no], ['hidden', [], no],
    ['then', [], { code: 'app', message: 'not then' }], ['large', [], { code: 'too_large', started: true }], ['long', [], { code: 'too_large', started: true }]
  ])
})

test('whatever is given is answered', async () => {
  const actor = new Actor('x').command('f', { n: 'int' }, ({ n }) => n).command('untold', { n: 'int' }, () => 0, { ack: false })
  const no = { code: 'invalid', started: false }
  const asked = []
  for (const v of [{ constructor: null }, { constructor: { name: null } }, { n: { constructor: 0 } }, { $map: [[1, 2]] }, { $map: [['$constructor', null]] }, '\ud83d\ude00'.repeat(40)]) {
    asked.push(['f', [v], no], ['untold', [v], no])
  }
  await answers(actor, [...asked, ['f', [{ constructor: null }], { ...no, message: 'argument "n": want int, got a map' }], ['ping', [], { result: 'pong' }]])
})

// A call to oneself ends as any other.

function selfish () {
  const noted = []
  const actor = new Actor('x')
  const never = request => new Promise((resolve, reject) => {
    noted.push('begins')
    request.signal.addEventListener('abort', () => { noted.push(request.over); resolve() })
  })
  actor.command('fails', { how: 'string' }, async ({ how }) => {
    if (how === 'call') await actor.call('nobody', 'greet')
    if (how === 'null') throw null // eslint-disable-line no-throw-literal
    throw how === 'own' ? appError('mine', 'x') : how === 'number' ? appError(404, 'x') : new RangeError('x')
  })
  actor.command('waits', {}, (args, request) => never(request))
  actor.command('untold', { n: 'int' }, ({ n }) => { if (!n) throw new RangeError('x'); return n }, { ack: false })
  actor.command('who', {}, async (args, request) => [current() === request, request.command, request.sender, await actor.call('tally', 'add')])
  actor.command('ask', { command: 'string', args: 'list?', timeout: 'number?', give_up: 'string?' }, async ({ command, args, timeout, give_up: when }) => {
    const abort = new AbortController()
    if (when === 'before') abort.abort()
    try {
      const call = actor.call(actor.ref, command, args, { timeout, signal: abort.signal })
      if (when === 'after') abort.abort()
      return [await call, current().command]
    } catch (e) {
      return [e.code, e.app ?? '', e.started, e.target, e.command]
    }
  })
  return { actor, noted }
}

async function asksItself (asked) {
  const { actor, noted } = selfish()
  await served(actor, async p => {
    for (const [args, want] of asked) {
      p.say({ command: 'ask', target: 'me-1', args, ack: '1', sender: 'who-1', timeout: 20000 })
      let m = await p.next()
      if (m.target === 'nobody') {
        p.say({ command: 'callback', ack: m.ack, error: { code: 'unknown_actor', message: 'nobody there', started: false } })
        m = await p.next()
      }
      assert.deepEqual(m.result, want, JSON.stringify([args, m]))
    }
  })
  return noted
}

test('a call to oneself that fails', async () => {
  const app = code => ['app', code, true, 'me-1', 'fails']
  await asksItself([
    [['fails', ['range']], app('RangeError')], [['fails', ['null']], app('Error')], [['fails', ['own']], app('mine')], [['fails', ['number']], app('404')], [['fails', ['call']], app('unknown_actor')],
    [['fails', []], ['invalid', '', false, 'me-1', 'fails']], [['fail', []], ['unknown_command', '', false, 'me-1', 'fail']]
  ])
})

test('a call to oneself without acknowledgement', async t => {
  silent(t)
  await asksItself([[['untold', [1]], [null, 'ask']], [['untold', [0]], [null, 'ask']], [['untold', ['x']], ['invalid', '', false, 'me-1', 'untold']]])
})

test('a call to oneself that nobody waits for any more', async () => {
  assert.deepEqual(await asksItself([[['waits', [], 50], ['deadline', '', true, 'me-1', 'waits']]]), ['begins', 'deadline'])
  assert.deepEqual(await asksItself([[['waits', [], null, 'after'], ['canceled', '', true, 'me-1', 'waits']]]), ['begins', 'canceled'])
  assert.deepEqual(await asksItself([[['waits', [], null, 'before'], ['canceled', '', false, 'me-1', 'waits']]]), [])
  const { actor, noted } = selfish()
  await served(actor, async p => {
    p.say({ command: 'ask', target: 'me-1', args: ['waits'], ack: '1' })
    p.say({ command: 'ping', target: 'me-1', ack: '2' })
    assert.equal((await p.next()).result, 'pong')
    p.say({ command: 'cancel', ack: '1' })
    p.say({ command: 'ping', target: 'me-1', ack: '3' })
    assert.equal((await p.next()).result, 'pong')
  })
  assert.deepEqual(noted, ['begins', 'canceled'])
})

test('a call to oneself knows who asks', async () => {
  await served(selfish().actor, async p => {
    p.say({ command: 'ask', target: 'me-1', args: ['who', [], 5000], ack: '7', sender: 'who-1', timeout: 20000 })
    const m = await p.next()
    assert.deepEqual([m.target, m.parent, m.timeout <= 5000], ['tally', '7', true])
    p.say({ command: 'callback', ack: m.ack, result: 3 })
    assert.deepEqual((await p.next()).result, [[true, 'who', 'me-1', 3], 'ask'])
  })
})

test('many calls at a time', async t => {
  const warnings = []
  const warned = w => warnings.push(w.message)
  process.on('warning', warned)
  t.after(() => process.off('warning', warned))
  const actor = new Actor('x')
  const ends = []
  let abort
  actor.command('waits', {}, (args, request) => new Promise(resolve => { request.signal.addEventListener('abort', resolve) }))
  actor.command('many', { target: 'string' }, async ({ target }) => {
    abort = new AbortController()
    const calls = await Promise.allSettled(Array.from({ length: 24 }, () => actor.call(target, 'waits', [], { signal: abort.signal })))
    ends.push(...calls.map(c => c.reason.code))
  })
  await served(actor, async p => {
    for (const target of ['tally', 'me-1']) {
      for (const give of [() => p.say({ command: 'cancel', ack: '1' }), () => abort.abort()]) {
        p.say({ command: 'many', target: 'me-1', args: [target], ack: '1' })
        if (target === 'tally') for (let n = 0; n < 24; n++) assert.equal((await p.next()).command, 'waits')
        p.say({ command: 'ping', target: 'me-1', ack: '2' })
        assert.equal((await p.next()).result, 'pong')
        give()
        if (target === 'tally') for (let n = 0; n < 24; n++) assert.equal((await p.next()).command, 'cancel')
        p.say({ command: 'echo', target: 'me-1', args: ['over'], ack: '3' })
        for (let m = await p.next(); m.ack !== '3'; m = await p.next()) assert.equal(m.ack, '1')
      }
    }
  })
  await new Promise(resolve => setImmediate(resolve)) // a warning comes late
  assert.deepEqual(ends, Array(24 * 4).fill('canceled'))
  assert.deepEqual(warnings, [])
})

// An interleaved actor, whose handlers make calls at the same time.

const gate = () => {
  const g = {}
  g.opened = new Promise(resolve => { g.open = resolve })
  return g
}

/** Has talk with an actor of the command work, and of hold, which keeps the turn until its gate is open. */
async function interleaved (handler, talk) {
  const gates = { hold: gate(), work: gate() }
  const actor = new Actor('x', { mode: 'interleaved' }).command('hold', {}, () => gates.hold.opened)
  actor.command('work', {}, () => handler(() => actor.call('tally', 'add'), gates.work.opened))
  await served(actor, async p => {
    const say = (command, ack, args) => p.say({ command, target: 'me-1', args, ack })
    const told = (ack, result) => p.say({ command: 'callback', ack, result })
    const answered = async (ack, result) => assert.deepEqual(await p.next(), { command: 'callback', ack, result })
    const settled = async () => { say('ping', 'p'); await answered('p', 'pong') }
    say('work', '1')
    const first = await p.next()
    say('hold', '2')
    told(first.ack, 3)
    await settled() // work wants its turn, which hold has
    await talk(gates, { p, say, told, answered, settled })
    say('echo', '9', ['after'])
    await answered('9', 'after')
  })
}

test('a turn: a call is left behind', async () => {
  let left
  await interleaved(async (call, opened) => { left = call(); await opened; return null }, async (gates, { answered }) => {
    gates.work.open()
    await answered('1', null)
    gates.hold.open()
    await answered('2', null)
  })
  assert.equal(await left, 3)
})

test('a turn: a call is left behind that ends later', async () => {
  let left
  const actor = new Actor('x', { mode: 'interleaved' }).command('work', {}, async () => {
    left = actor.call('tally', 'add')
    await actor.call('tally', 'add')
  })
  await served(actor, async p => {
    p.say({ command: 'work', target: 'me-1', ack: '1' })
    const [behind, mine] = [await p.next(), await p.next()]
    p.say({ command: 'callback', ack: mine.ack, result: 3 })
    assert.equal((await p.next()).ack, '1')
    p.say({ command: 'callback', ack: behind.ack, result: 4 })
    p.say({ command: 'echo', target: 'me-1', args: ['after'], ack: '2' })
    assert.equal((await p.next()).result, 'after')
  })
  assert.equal(await left, 4)
})

test('a turn: a call is made while it is wanted back', async () => {
  await interleaved((call, opened) => Promise.all([call(), opened.then(call)]), async (gates, { p, say, told, answered }) => {
    gates.work.open()
    const second = await p.next()
    gates.hold.open()
    await answered('2', null)
    say('echo', '3', ['meanwhile'])
    await answered('3', 'meanwhile')
    told(second.ack, 4)
    await answered('1', [3, 4])
  })
})

test('a turn: two calls want it back together', async () => {
  await interleaved((call, opened) => Promise.all([call(), opened.then(call)]), async (gates, { p, told, answered, settled }) => {
    gates.work.open()
    told((await p.next()).ack, 4)
    await settled()
    gates.hold.open()
    await answered('2', null)
    await answered('1', [3, 4])
  })
})

test('a check of arguments that fails', async () => {
  const actor = new Actor('x').command('f', {}, () => 0).command('untold', {}, () => 0, { ack: false })
  const names = ['f', 'untold', 'ping']
  for (const name of names) actor.commands.get(name).bind = () => { throw new TypeError('not foreseen') }
  const no = { code: 'invalid', message: 'not foreseen', started: false }
  await answers(actor, [...names, ...names].map(name => [name, [], no]))
})

test('a refusal with much to say', async () => {
  const death = await served(new Actor('x').command('f', {}, () => 0), async p => {
    p.say({ command: 'f', target: 'me-1', kwargs: { ['x'.repeat(65420)]: 1 }, sender: 'who-1' })
    const m = await p.next()
    assert.deepEqual([m.command, m.sender, m.error.code, m.error.started], ['undelivered', 'who-1', 'invalid', false])
  }, { max_message: 65536 })
  assert.equal(death.cause, 'stopped')
})

test('a stop that comes with the welcome', async t => {
  silent(t)
  const made = []
  const { setInterval } = globalThis
  t.mock.method(globalThis, 'setInterval', (...args) => made[made.push(setInterval(...args)) - 1])
  const actor = new Actor('x').onStop(() => { throw new Error('at once') })
  await against(async p => {
    await p.next()
    p.socket.write(Buffer.concat([{ command: 'welcome', aid: 'me-1' }, { command: 'stop' }].map(m => frame(TEXT, Buffer.from(JSON.stringify(m))))))
    await drained(p)
  }, address => actor.serve({ address, signals: false }))
  const left = made.filter(i => !i._destroyed)
  for (const i of left) clearInterval(i)
  assert.deepEqual(left, [], 'it beats on')
})

test('hooks that fail', async t => {
  silent(t)
  const goodbye = async (actor, more) => {
    let said
    const death = await against(async p => {
      await p.welcome()
      if (more) p.say(more)
      said = await p.next()
    }, address => actor.serve({ address, signals: false }))
    assert.equal(said.command, 'goodbye')
    assert.equal(said.death.cause, death.cause)
    return [death.cause, said.death.reason]
  }
  for (const [e, reason] of [[null, 'Error'], [unspeakable, 'Object'], [new TypeError('half \ud83d'), 'TypeError: half \ufffd']]) {
    assert.deepEqual(await goodbye(new Actor('x').onStart(() => { throw e })), ['start', reason])
  }
  for (const [e, reason] of [[null, ''], [unspeakable, ''], [new TypeError('half \ud83d'), 'half \ufffd']]) {
    assert.deepEqual(await goodbye(new Actor('x').onStop(() => { throw e }), { command: 'stop' }), ['panic', `the stop hook: ${reason}`])
  }
  for (const [e, reason] of [['half \ud83d', 'half \ufffd'], [unspeakable, ''], ['x'.repeat(100000), 'x'.repeat(8192)]]) {
    const actor = new Actor('x').command('leave', {}, () => actor.stop(e), { ack: false })
    assert.deepEqual(await goodbye(actor, { command: 'leave', target: 'me-1' }), ['stopped', reason])
  }
  for (const e of [null, unspeakable, Object.create(null)]) {
    await answers(new Actor('x').onInfo(() => { throw e }), [['info', [], {}], ['ping', [], { result: 'pong' }]])
  }
})

test('last answers get their time', async () => {
  const actor = new Actor('x').command('large', {}, () => 'x'.repeat(6 << 20))
  await against(async p => {
    await p.welcome()
    p.socket.on('data', () => { // in all, twice the time that there is for who has nothing more to say
      p.socket.pause()
      setTimeout(() => p.socket.resume(), 10)
    })
    p.say({ command: 'large', target: 'me-1', ack: '1' })
    p.say({ command: 'stop' })
    const answer = await p.next()
    assert.equal(answer?.result?.length, 6 << 20)
    assert.equal((await p.next())?.command, 'goodbye')
  }, address => actor.serve({ address, signals: false }))
})
