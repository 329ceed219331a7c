// What the unit tests of arbiter.mjs have in place of an arbiter.

import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CLOSE, FrameReader, TEXT, connect, frame } from './arbiter.mjs'

/** The arbiter's end of a connection. */
export class Peer {
  constructor (socket) {
    this.socket = socket
    this.reader = new FrameReader()
    this.queue = []
    socket.on('data', d => { for (const f of this.reader.feed(d)) this.queue.push(f); this.wake?.() })
    socket.on('close', () => { this.over = true; this.wake?.() })
    socket.on('error', () => {})
  }

  /** The next message that is no heartbeat; undefined at the end. */
  async next () {
    for (;;) {
      while (this.queue.length) {
        const [op, payload] = this.queue.shift()
        if (op === CLOSE) return undefined
        const m = op === TEXT ? JSON.parse(payload) : { command: 'notify' }
        if (m.command !== 'notify') return m
      }
      if (this.over) return undefined
      await new Promise(resolve => { this.wake = resolve })
    }
  }

  say (m) { this.socket.write(frame(TEXT, Buffer.from(JSON.stringify(m)))) }

  async welcome (more) {
    const hello = await this.next()
    this.say({ command: 'welcome', version: 1, aid: 'me-1', name: '', arbiter: 'test', ...more })
    return hello
  }
}

/** Has talk(peer) with whoever connects while f(address) runs. */
export async function against (talk, f) {
  const dir = mkdtempSync(join(tmpdir(), 'arbiter'))
  const path = join(dir, 's')
  const server = createServer()
  server.listen(path)
  await once(server, 'listening')
  const talked = once(server, 'connection').then(async ([socket]) => {
    try {
      await talk(new Peer(socket))
    } finally {
      socket.destroy()
    }
  })
  talked.catch(() => {}) // awaited below, once f has ended
  try {
    const result = await f(`unix:${path}`)
    await talked
    return result
  } finally {
    server.close()
    rmSync(dir, { recursive: true })
  }
}

/** Has talk(peer) with who only calls, while f(me) runs. */
export const connected = (talk, f) => against(talk, async address => {
  const me = await connect({ address, token: 'secret' })
  try {
    await f(me)
  } finally {
    await me.close()
  }
})

/** Has talk(peer) with an actor that has joined, and asks it to stop. Resolves to how it ended. */
export const served = (actor, talk, welcome) => against(async p => {
  await p.welcome(welcome)
  await talk(p)
  p.say({ command: 'stop' })
  await drained(p)
}, address => actor.serve({ address, signals: false }))

export const drained = async p => { while (await p.next()); }
