import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';

/** Serves the files of a folder and nothing else: what Node can do at best. Says its port when it is asked to go. */
const [folder] = [JSON.parse(process.argv[2] ?? '""') as string];
const server = createServer((request, response) => {
  const file = path.join(folder, path.normalize(`/${decodeURIComponent(request.url ?? '/')}`));
  response.writeHead(200, { 'Content-Length': statSync(file).size });
  createReadStream(file, { highWaterMark: 1024 * 1024 }).pipe(response);
}).listen(0, '127.0.0.1', () => process.send!('ready'));
process.once('message', () => process.send!((server.address() as AddressInfo).port));
process.once('disconnect', () => process.exit());
