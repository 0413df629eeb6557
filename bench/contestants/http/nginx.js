// nginx in front of node:http processes, with the connections to them kept, as its documentation advises.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { freePort } from '../../lib/port.js'
import { startServers } from './workers/servers.js'

export const name = 'nginx'
export let version

const TEMPORARY = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']

const configuration = (folder, port, upstreams) => `
${process.getuid() === 0 ? 'user root;' : ''}
worker_processes auto;
daemon off;
pid ${folder}/pid;
error_log stderr error;
events { worker_connections 1024; }
http {
  access_log off;
  ${TEMPORARY.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join('\n  ')}
  upstream app {
    ${upstreams.map((upstream) => `server 127.0.0.1:${upstream};`).join('\n    ')}
    keepalive 64;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }
}
`

export async function start(workers) {
  const found = spawnSync('nginx', ['-v'], { encoding: 'utf8' })
  if (found.error)
    throw new Error('THERE IS NO nginx ON THIS MACHINE: install it to compare with it')
  version = found.stderr.trim().replace(/.*\//, '')

  const folder = mkdtempSync(path.join(tmpdir(), 'bench-nginx-'))
  const port = await freePort()
  const servers = await startServers(workers)
  const file = path.join(folder, 'nginx.conf')
  writeFileSync(file, configuration(folder, port, servers.ports))
  const nginx = spawn('nginx', ['-p', folder, '-c', file, '-e', 'stderr'], { stdio: 'inherit' })
  await listening(port, nginx)
  return {
    port,
    async close() {
      servers.close()
      const ended = new Promise((resolve) => nginx.once('exit', resolve))
      nginx.kill('SIGTERM')
      await ended
      rmSync(folder, { recursive: true })
    },
  }
}

/** It doesn't say when it is ready. */
async function listening(port, { pid }) {
  for (let tries = 0; tries < 200; tries++) {
    if (await accepts(port)) return
    await wait(20)
  }
  throw new Error(`nginx (${pid}) does not listen`)
}

const accepts = (port) =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
