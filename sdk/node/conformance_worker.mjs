// The worker of sdk/conformance in JavaScript: the same commands in every language, and the runner of its cases.
//
//   node conformance_worker.mjs serial|interleaved|concurrent|small|failing

import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { Actor, ArbiterError, UUID, appError, loads } from './arbiter.mjs'

const variant = process.argv[2] ?? 'concurrent'
const small = variant === 'small'
const me = new Actor('conformance', {
  mode: small || variant === 'failing' ? 'serial' : variant, inbox: small ? { messages: 4, bytes: 1 << 20 } : {}, name: process.env.CONFORMANCE_NAME
})
if (variant === 'failing') me.onStart(() => { throw new RangeError('no paper') })
const noted = []
const waiting = new Map()

function noteDown (text) {
  noted.push(text)
  waiting.get(text)?.resolve()
}

const told = e => {
  const m = { code: e.code, app: e.app, message: e.reason, started: e.started, path: e.path, cause: e.death?.cause }
  return Object.fromEntries(Object.entries(m).filter(([, v]) => v !== undefined && v !== ''))
}

me.command('add', { a: 'int', b: 'int?' }, ({ a, b = 0 }) => a + b)
me.command('fail', { code: 'string', message: 'string' }, ({ code, message }) => { throw appError(code, message) })
me.command('boom', {}, () => { throw new RangeError('boom') })
me.command('sleep', { ms: 'int', tag: 'string?' }, async ({ ms, tag = 'sleep' }, request) => {
  noteDown(`${tag} begins`)
  try {
    await pause(ms, undefined, { signal: request.signal })
  } catch (e) {
    noteDown(`${tag} ${request.over}`)
    noteDown(`${tag} is over`)
    throw e
  }
  return 'slept'
})
me.command('block', { ms: 'int' }, async ({ ms }) => { await pause(ms); return 'blocked' })
me.command('note', { text: 'string' }, ({ text }) => noteDown(text), { ack: false })
me.command('linger', { ms: 'int', text: 'string' }, async ({ ms, text }) => { await pause(ms); noteDown(text) }, { ack: false })
me.command('notes', {}, () => noted)
me.command('expect', { text: 'string' }, async ({ text }) => {
  if (!noted.includes(text)) {
    if (!waiting.has(text)) {
      const w = {}
      w.promise = new Promise(resolve => { w.resolve = resolve })
      waiting.set(text, w)
    }
    await waiting.get(text).promise
  }
  return noted.filter(x => x === text).length
}, { doc: 'returns when text has been noted' })
me.command('describe', { value: 'any' }, ({ value: v }) => {
  if (v === null) return 'null'
  if (typeof v === 'boolean') return 'bool'
  if (typeof v === 'bigint') return 'int'
  if (typeof v === 'number') return Number.isInteger(v) ? 'int' : 'float'
  if (typeof v === 'string') return 'text'
  if (v instanceof Uint8Array) return 'bytes'
  if (v instanceof Set) return 'set'
  if (v instanceof Date) return 'time'
  if (v instanceof UUID) return 'uuid'
  return Array.isArray(v) ? 'list' : 'map'
})
me.command('outcome', { target: 'string', command: 'string', args: 'list?', kwargs: 'object?', timeout: 'int?' },
  async ({ target, command, args = [], kwargs, timeout }) => {
    try {
      return { result: await me.call(target, command, args, { kwargs, timeout }) }
    } catch (e) {
      return told(e)
    }
  }, { doc: 'what became of a call made in a handler' })
me.command('relay', { target: 'string', command: 'string', args: 'list?' }, ({ target, command, args }) => me.call(target, command, args))
me.command('gather', { target: 'string', command: 'string', args: 'list', times: 'int' },
  ({ target, command, args, times }) => Promise.all(Array.from({ length: times }, () => me.call(target, command, args))),
  { doc: 'makes the same call so many times, all at once' })
me.command('post', { target: 'string', command: 'string', args: 'list?' }, ({ target, command, args }) => me.send(target, command, args))
me.command('attend', { target: 'string' }, async ({ target }) => {
  const { down } = await me.watch(target)
  down.then(d => noteDown(`down ${d.death.cause}`))
}, { doc: 'watches target, and notes how it ended' })
me.command('die', { code: 'int' }, ({ code }) => {
  console.error('last words')
  process.exit(code)
})
me.onStop(async () => {
  if (me.config.get('witness')) await me.send(me.config.get('witness'), 'note', ['hook ran'])
})
me.onUndelivered(e => noteDown(`undelivered ${e.command} ${e.code}`))

// The runner of cases: docs in sdk/conformance/cases.go

class Mismatch extends Error {}

const show = v => String(JSON.stringify(v, (k, x) => typeof x === 'bigint' ? `${x}n` : x)).slice(0, 300)

class Case {
  constructor (steps, launch, target) {
    this.steps = steps
    this.launch = launch
    this.names = new Map([['$target', target], ['$self', me.ref.aid]])
    this.own = []
    this.started = new Map()
    this.watches = new Map()
  }

  async run () {
    try {
      for (const step of this.steps) await this[step.do](step)
    } finally {
      for (const { abort } of this.started.values()) abort.abort()
      for (const aid of this.own) await me.send(aid, 'stop')
    }
  }

  /** v of the case, with names put in and what is repeated made. */
  value (v) {
    if (typeof v === 'string') return this.names.get(v) ?? v
    if (Array.isArray(v)) return v.map(x => this.value(x))
    if (v === null || typeof v !== 'object' || Object.getPrototypeOf(v) !== Object.prototype) return v
    if ('@repeat' in v) return v['@repeat'].repeat(v['@times'])
    return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, this.value(x)]))
  }

  ask (step, signal) {
    return me.call(this.value(step.target), step.command, this.value(step.args ?? []), {
      kwargs: this.value(step.kwargs), timeout: step.timeout ?? 10000, signal
    })
  }

  async settle (step, call) {
    let got
    try {
      got = { result: await call }
    } catch (e) {
      if (!(e instanceof ArbiterError)) throw e
      got = told(e)
    }
    const wrong = what => new Mismatch(`${step.command ?? step.as}: ${what}: ${show(got)}`)
    if (step.error) {
      if ('result' in got) throw wrong('it went well')
      for (const [k, v] of Object.entries(step.error)) {
        if (k === 'message' ? !got[k]?.includes(v) : !isDeepStrictEqual(got[k], this.value(v))) throw wrong(`error ${k}, want ${show(v)}`)
      }
    } else if (!('result' in got)) throw wrong('an error')
    else if (step.like && Object.entries(this.value(step.like)).some(([k, v]) => !isDeepStrictEqual(plain(got.result[k]), plain(v)))) {
      throw wrong(`want ${show(step.like)}`)
    } else if ('result' in step && !isDeepStrictEqual(plain(got.result), plain(this.value(step.result)))) throw wrong(`want ${show(step.result)}`)
  }

  call (step) { return this.settle(step, this.ask(step)) }
  send (step) { return me.send(this.value(step.target), step.command, this.value(step.args ?? [])) }

  start (step) {
    const abort = new AbortController()
    const call = this.ask(step, abort.signal)
    call.catch(() => {}) // joined, or not
    this.started.set(step.as, { call, abort })
  }

  cancel (step) { this.started.get(step.as).abort.abort() }

  async join (step) {
    const { call } = this.started.get(step.as)
    this.started.delete(step.as)
    await this.settle(step, call)
  }

  async spawn (step) {
    const ref = await me.spawn({ ...this.launch[step.variant], extra: this.value(step.extra ?? {}) })
    this.names.set('$' + step.as, ref.aid)
    this.own.push(ref.aid)
  }

  async watch (step) { this.watches.set(step.as, await me.watch(this.value(step.target))) }

  async down (step) {
    const { death } = await Promise.race([this.watches.get(step.as).down, pause(10000, { death: { cause: 'nothing heard' } }, { ref: false })])
    if (death.cause !== step.cause || (step.code !== undefined && death.code !== step.code)) throw new Mismatch(`down: ${show(death)}`)
  }

  async sweep (step) {
    for (const [low, high] of step.sizes) {
      for (let n = low; n <= high; n++) {
        if (await me.call(this.value(step.target), 'echo', ['x'.repeat(n)]) !== 'x'.repeat(n)) throw new Mismatch(`a text of ${n} bytes`)
      }
    }
  }
}

// Buffers compare as what they hold, whatever class they are of.
const plain = v => v instanceof Uint8Array ? { bytes: Buffer.from(v).toString('hex') } : v

me.command('conform', { file: 'string', launch: 'object', target: 'string', skip: 'object?' }, async ({ file, launch, target, skip = {} }) => {
  const results = []
  for (const c of loads(readFileSync(file, 'utf8'))) {
    if (Object.hasOwn(skip, c.name)) continue
    let why = ''
    try {
      why = await Promise.race([new Case(c.steps, launch, target).run(), pause(30000, 'not over after 30 s', { ref: false })]) ?? ''
    } catch (e) {
      why = e instanceof Mismatch ? e.message : `${e.name}: ${e.message}`
    }
    results.push({ name: c.name, why })
  }
  return results
}, { doc: 'runs the cases in file, but those to skip, against target, and says what went wrong in each' })

me.run()
