import { chmodSync, chownSync, copyFileSync, lstatSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Binaries } from './download.ts';
import { closedAncestor, INFRA, type Paths } from './paths.ts';
import type { Launch } from './process.ts';
import { answers, type Server } from './server.ts';

const HEAP = '512m';
const NOBODY = 65534;

/** One node without the security plugin, on the loopback interface alone. */
export const opensearchServer = (binaries: Binaries): Server => ({
  part: 'opensearch',
  name: 'OpenSearch',
  launch: ({ paths, ports }) => {
    const config = path.join(paths.opensearchData, 'config');
    const tmp = path.join(paths.opensearchData, 'tmp');
    for (const folder of [config, tmp, 'data', 'logs']) mkdirSync(path.resolve(paths.opensearchData, folder), { recursive: true });
    for (const file of ['opensearch.yml', 'log4j2.properties']) copyFileSync(path.join(INFRA, 'opensearch', file), path.join(config, file));
    chmodSync(paths.opensearchData, 0o700);
    const user = unprivilegedUser(paths, [binaries.opensearchHome, binaries.java, paths.opensearchData]);
    if (user) chownAll(paths.opensearchData, user);
    return {
      command: binaries.java,
      args: [
        `-Xms${HEAP}`, `-Xmx${HEAP}`, '-XX:+UseSerialGC', '-XX:-UsePerfData', '-Djava.security.manager=disallow',
        `-Djava.io.tmpdir=${tmp}`, `-Djna.tmpdir=${tmp}`, `-Duser.home=${tmp}`, '-Djna.nosys=true', '-Dlog4j2.disable.jmx=true',
        '--enable-native-access=ALL-UNNAMED', '-Dfile.encoding=UTF-8', '-Djava.locale.providers=CLDR',
        `-Dopensearch.path.home=${binaries.opensearchHome}`, `-Dopensearch.path.conf=${config}`,
        '-cp', path.join(binaries.opensearchHome, 'lib', '*'), 'org.opensearch.bootstrap.OpenSearch',
        `-Epath.data=${path.join(paths.opensearchData, 'data')}`, `-Epath.logs=${path.join(paths.opensearchData, 'logs')}`,
        `-Ehttp.port=${ports.opensearch}`, `-Etransport.port=${ports.opensearchTransport}`,
      ],
      cwd: paths.opensearchData,
      env: { HOME: tmp },
      ...(user ? { user } : {}),
    };
  },
  healthy: ({ ports }) => answers(`http://127.0.0.1:${ports.opensearch}/_cluster/health?wait_for_status=yellow&timeout=1s`),
});

/**
 * OpenSearch refuses to run as root, so a root parent gives it to the owner of the `.pacs/` folder, or to nobody.
 * Below a folder that this user may not enter (a checkout under /root), it keeps the one capability to read and
 * write files in spite of their modes.
 */
function unprivilegedUser(paths: Paths, needed: readonly string[]): Launch['user'] {
  if (process.getuid?.() !== 0) return undefined;
  const owner = statSync(paths.home);
  const closed = needed.some((target) => closedAncestor(path.dirname(target), (folder) => statSync(folder).mode) !== undefined);
  return owner.uid === 0
    ? { uid: NOBODY, gid: NOBODY, seesClosedFolders: closed }
    : { uid: owner.uid, gid: owner.gid, seesClosedFolders: closed };
}

function chownAll(target: string, user: { readonly uid: number; readonly gid: number }): void {
  const stat = lstatSync(target);
  if (stat.uid !== user.uid || stat.gid !== user.gid) chownSync(target, user.uid, user.gid);
  if (stat.isDirectory()) for (const entry of readdirSync(target)) chownAll(path.join(target, entry), user);
}
