import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Binaries } from './download.ts';
import { repairAfterReboot } from './s3Repair.ts';
import { answers, type Server, type Site } from './server.ts';

export const BUCKET = 'pacs';
export const REGION = 'us-east-1';

/** SeaweedFS: master, volume, filer and S3 gateway in one process. */
export const s3Server = (binaries: Binaries): Server => ({
  part: 's3',
  name: 'S3 (SeaweedFS)',
  launch: (site) => {
    const { paths, ports } = site;
    const config = path.join(paths.secrets, 's3.json');
    writeFileSync(config, identities(site), { mode: 0o600 });
    repairAfterReboot(binaries.weed, paths.s3Data);
    return {
      command: binaries.weed,
      args: [
        '-logtostderr', 'server', `-dir=${paths.s3Data}`, '-ip=127.0.0.1', '-ip.bind=127.0.0.1',
        '-master.telemetry=false', `-master.port=${ports.s3Master}`, `-master.port.grpc=${ports.s3MasterGrpc}`,
        '-master.volumeSizeLimitMB=1024',
        // a lone master waits this long for other masters before it leads; the default makes a restart take 18 s
        '-master.electionTimeout=500ms', '-master.heartbeatInterval=100ms',
        `-volume.port=${ports.s3Volume}`, `-volume.port.grpc=${ports.s3VolumeGrpc}`, '-volume.max=0', '-volume.index=leveldb',
        '-volume.preStopSeconds=0',
        '-filer', `-filer.port=${ports.s3Filer}`, `-filer.port.grpc=${ports.s3FilerGrpc}`, `-filer.localSocket=${path.join(socketFolder(site), 'filer.sock')}`,
        '-s3', `-s3.port=${ports.s3}`, `-s3.port.grpc=${ports.s3Grpc}`, `-s3.config=${config}`, `-s3.localSocket=${path.join(socketFolder(site), 's3.sock')}`,
        '-s3.port.iceberg=0', '-s3.port.lance=0', '-s3.iam=false', '-s3.autoCreateBucket=false', '-s3.allowDeleteBucketNotEmpty=false',
      ],
      cwd: paths.s3Data,
      // Names of objects lie in LevelDB, which is not synced: docs/decisions/009-s3-names.md.
      env: {},
    };
  },
  healthy: async ({ ports }) => await answers(`http://127.0.0.1:${ports.s3}/healthz`) && hasVolumes(ports.s3Master),
  cleanUp: removeSockets,
});

/** The S3 gateway calls itself healthy before the volume server has told the master of its volumes; reads then fail. */
async function hasVolumes(masterPort: number): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${masterPort}/dir/status`, { signal: AbortSignal.timeout(2000) });
    return response.ok && (await response.text()).includes('"DataNodes":[{');
  } catch {
    return false;
  }
}

/** A Unix socket's path may have 107 bytes; a deep checkout has more, and then the sockets lie with SeaweedFS's others. */
const socketFolder = ({ paths }: Site): string => (paths.tmp.length < 90 ? paths.tmp : '/tmp');

/** SeaweedFS makes these four under /tmp whatever it is told, and leaves them when it is killed. */
function removeSockets({ ports }: Site): void {
  const sockets = { master: ports.s3MasterGrpc, volume: ports.s3VolumeGrpc, filer: ports.s3FilerGrpc, s3: ports.s3Grpc };
  for (const [name, port] of Object.entries(sockets)) rmSync(`/tmp/seaweedfs-${name}-grpc-${port}.sock`, { force: true });
}

const identities = ({ s3Keys }: Site): string => JSON.stringify({
  identities: [{
    name: 'pacs',
    credentials: [{ accessKey: s3Keys.accessKeyId, secretKey: s3Keys.secretAccessKey }],
    actions: ['Admin', 'Read', 'List', 'Tagging', 'Write'],
  }],
});
