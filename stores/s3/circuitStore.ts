import type { Trouble } from '../../domain/circuit.ts';
import { circuitKey } from '../../domain/keys.ts';
import { inContext } from '../errors.ts';
import { VersionConflict, type CircuitStore } from '../ports.ts';
import type { Bucket } from './s3.ts';
import { readObject, writeObject } from './s3Objects.ts';

interface StoredCircuit { readonly open: Trouble | null }

/** One small object for each destination that was ever away. Written by the destination's flow alone. */
export function createCircuitStore(bucket: Bucket): CircuitStore {
  const read = async (key: string) => {
    const object = await readObject(bucket, key);
    return object && { etag: object.etag ?? '', value: JSON.parse(object.body.toString('utf8')) as StoredCircuit };
  };
  return {
    get(tenantId, destinationId) {
      const at = { tenantId, key: circuitKey(tenantId, destinationId) };
      return inContext('Reading a circuit', at, async () => (await read(at.key))?.value.open ?? undefined);
    },
    set(tenantId, destinationId, open) {
      const at = { tenantId, key: circuitKey(tenantId, destinationId) };
      return inContext('Writing a circuit', at, async () => {
        const stored = await read(at.key);
        if (!stored && !open) return;
        const body = Buffer.from(JSON.stringify({ open: open ?? null } satisfies StoredCircuit));
        const written = await writeObject(bucket, at.key, body, stored ? { etag: stored.etag } : 'new', { contentType: 'application/json' });
        if (written === undefined) throw new VersionConflict(`The circuit of ${destinationId} (tenant ${tenantId}) was changed since it was read`);
      });
    },
  };
}
