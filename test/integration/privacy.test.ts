import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { randomInt } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { OWN_PROCESSES } from '../../infra/native/parts.ts';
import { removeTempFolders, tempFolder, testPeers } from '../support/peers.ts';
import { madeStudy, sendFiles } from '../support/sender.ts';
import { eventually, sharedPacs } from '../support/stack.ts';

/** Letters alone, so that no identifier looks like one by chance. */
const marker = (): string => Array.from({ length: 10 }, () => String.fromCharCode(65 + randomInt(26))).join('');

describe('patients', function () {
  this.timeout(90_000);
  const pacs = sharedPacs();
  const peers = testPeers();
  after(removeTempFolders);

  it('appear in no workflow history, search attribute, log line or metric, whatever becomes of their study', async () => {
    const secrets = { PatientName: `${marker()}^${marker()}`, PatientID: marker(), AccessionNumber: marker(), PatientBirthDate: '18931107', StudyDescription: marker(), InstitutionName: marker() };
    const words = [...secrets.PatientName.split('^'), ...Object.values(secrets).filter((value) => !value.includes('^'))];
    const folder = await tempFolder();
    const study = await madeStudy(peers().python, folder, 'CT_small.dcm', 3, secrets);
    const quarantined = path.join(folder, 'short.dcm');
    const { files: [, , last], studyInstanceUID } = study;
    // Pixel Data of half the length: quarantined. A conflict: other bytes under a known UID.
    writeFileSync(quarantined, withShortPixels(readFileSync(last!.file)));
    const conflicting = path.join(folder, 'conflict.dcm');
    const other = readFileSync(study.files[0]!.file);
    other.writeUInt8(other.readUInt8(other.length - 200) ^ 0xff, other.length - 200);
    writeFileSync(conflicting, other);
    await pacs().api.configure(() => ({
      destinations: [{ kind: 'dicom', destinationId: 'away', gatewayId: 'gw1', host: '127.0.0.1', port: 1, calledAETitle: 'AWAY' }],
      rules: [{ ruleId: 'by-patient', destinationId: 'away', attributes: { PatientID: secrets.PatientID } }] }));
    const connection = await Connection.connect({ address: pacs().stack.env['TEMPORAL_ADDRESS']! });
    try {
      const client = new Client({ connection, namespace: 'pacs' });
      const send = (...list: string[]) => sendFiles(peers().python, pacs().stack.urls.dicom, list);
      await send(study.files[0]!.file, study.files[1]!.file, quarantined);
      await eventually('the good instances are found by the patient\'s name', async () =>
        (await (await pacs().api.call(`dicom-web/studies?PatientName=${encodeURIComponent(secrets.PatientName)}`)).text()).includes(studyInstanceUID));
      await send(conflicting);
      await eventually('both odd instances stand beside', async () => (await pacs().api.setAside(studyInstanceUID)).length >= 2);
      await eventually('the delivery waits for its destination', async () => (await pacs().api.flows(studyInstanceUID)).some(({ state }) => state === 'DESTINATION_AWAY'));
      const history = await pacs().api.history(studyInstanceUID);

      const texts = new Map<string, string>([['history of the study', JSON.stringify(history)], ['flows', JSON.stringify(await Promise.all((await pacs().api.flows(studyInstanceUID)).map(({ flowId }) => pacs().api.flow(flowId))))]]);
      let flowCount = 0;
      for await (const info of client.workflow.list({ query: `TenantId = '${pacs().tenantId}'` })) {
        flowCount++;
        texts.set(`description of ${info.workflowId}`, readable({ id: info.workflowId, attributes: info.typedSearchAttributes.getAll(), memo: info.memo }));
        texts.set(`events of ${info.workflowId}`, decoded(historyToJSON(await client.workflow.getHandle(info.workflowId, info.runId).fetchHistory())));
      }
      for (const part of OWN_PROCESSES) if (existsSync(pacs().stack.logFile(part))) texts.set(`log of ${part}`, readFileSync(pacs().stack.logFile(part), 'utf8'));
      const { gatewayHttp, workerHttp, api } = pacs().stack.urls;
      for (const url of [gatewayHttp, workerHttp, api]) texts.set(`metrics of ${url}`, await (await fetch(`${url}/metrics`)).text());

      assert.ok(flowCount >= 4, `${flowCount} flows were looked at`);
      for (const [kind, word] of [['description', studyInstanceUID], ['events', '"callingAETitle":"PYNETDICOM"'], ['log of gateway', 'PYNETDICOM'], ['history', studyInstanceUID]] as const) {
        assert.ok([...texts].some(([where, text]) => where.startsWith(kind) && text.includes(word)), `the ${kind} is read in clear`);
      }
      const told = [...texts].flatMap(([where, text]) => words.filter((word) => text.includes(word)).map((word) => `${word} in ${where}`));
      assert.deepEqual(told, []);
    } finally {
      await connection.close();
      await pacs().api.configure(() => ({ destinations: [], rules: [] }));
    }
  });
});

const readable = (value: unknown): string => JSON.stringify(value, (_, item: unknown) => (typeof item === 'bigint' ? `${item}` : item));

/** A history as text, its payloads in clear: they are base64 in JSON. */
function decoded(json: string): string {
  return json + [...json.matchAll(/"data":\s*"([A-Za-z0-9+/=]+)"/g)].map(([, data]) => Buffer.from(data!, 'base64').toString('utf8')).join('\n');
}

/** Explicit VR little endian: Pixel Data keeps half of its value. */
function withShortPixels(file: Buffer): Buffer {
  const at = file.lastIndexOf(Buffer.of(0xe0, 0x7f, 0x10, 0x00, 0x4f, 0x57));
  const half = Math.floor(file.readUInt32LE(at + 8) / 4) * 2;
  const short = Buffer.from(file.subarray(0, at + 12 + half));
  short.writeUInt32LE(half, at + 8);
  return short;
}
