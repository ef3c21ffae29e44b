import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { readConfig } from '../../../api/config.ts';
import { createTrusts } from '../../../api/publicUrl.ts';
import { aFile, aToken, anApi, stow, type Api } from './support.ts';

describe('api: where clients reach it', () => {
  let trusting: Api;
  let strict: Api;
  before(async () => {
    [trusting, strict] = await Promise.all([anApi({ trustedProxies: ['loopback', '10.0.0.0/8'] }), anApi()]);
    await Promise.all([trusting, strict].map((api) => stow(api, [aFile()])));
  });
  after(() => Promise.all([trusting.close(), strict.close()]));

  /** Status, and where the study's URL begins; by node:http, since fetch sends no Host of one's own. */
  async function rootOf(api: Api, headers: Record<string, string>): Promise<readonly [number | undefined, string]> {
    const authorization = `Bearer ${await aToken()}`;
    return new Promise((resolve, reject) => httpRequest(`${api.url}/tenants/demo/dicom-web/studies`, { headers: { authorization, ...headers } }, (response) => {
      let text = '';
      response.on('data', (piece: Buffer) => { text += piece.toString(); }).on('end', () => {
        const url = response.statusCode === 200 ? (JSON.parse(text) as Record<string, { readonly Value: readonly string[] }>[])[0]!['00081190']!.Value[0]! : text;
        resolve([response.statusCode, url.split('/tenants/')[0]!]);
      });
    }).on('error', reject).end());
  }

  const rows: readonly (readonly [title: string, headers: Record<string, string>, root: string])[] = [
    ['Forwarded', { Forwarded: 'for=203.0.113.7;proto=https;host=pacs.example' }, 'https://pacs.example'],
    ['Forwarded with quotes, a port and names in capitals', { Forwarded: 'For="[2001:db8::1]:4711";Proto=HTTPS;Host="pacs.example:8443"' }, 'https://pacs.example:8443'],
    ['the hop that the first trusted proxy saw, not one that the client made up', { Forwarded: 'for=1.1.1.1;host=evil.example, for=203.0.113.7;proto=https;host=pacs.example, for=10.1.2.3;proto=http;host=inner' }, 'https://pacs.example'],
    ['X-Forwarded-Proto and -Host', { 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'pacs.example' }, 'https://pacs.example'],
    ['X-Forwarded-Port and -Prefix', { 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'evil.example, pacs.example', 'X-Forwarded-Port': '8443', 'X-Forwarded-Prefix': '/imaging' }, 'https://pacs.example:8443/imaging'],
    ['the usual port without naming it', { 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'pacs.example', 'X-Forwarded-Port': '443' }, 'https://pacs.example'],
    ['an IPv6 host', { 'X-Forwarded-Host': '[2001:db8::1]:8080' }, 'http://[2001:db8::1]:8080'],
    ['Host without any of them', { Host: 'pacs.local:8080' }, 'http://pacs.local:8080'],
  ];
  for (const [title, headers, root] of rows) {
    it(`takes ${title}`, async () => assert.deepEqual(await rootOf(trusting, headers), [200, root]));
  }

  it('ignores what untrusted peers say, and what any says where the URL is configured', async () => {
    const fixed = await anApi({ publicUrl: 'https://fixed.example', trustedProxies: ['loopback'] });
    await stow(fixed, [aFile()]);

    assert.deepEqual(await rootOf(strict, { Host: 'pacs.local', Forwarded: 'proto=https;host=evil.example', 'X-Forwarded-Host': 'evil.example' }), [200, 'http://pacs.local']);
    assert.deepEqual(await rootOf(fixed, { 'X-Forwarded-Host': 'evil.example', Host: 'evil.example' }), [200, 'https://fixed.example']);
    await fixed.close();
  });

  it('answers 400 to hosts that are none, whoever says them', async () => {
    for (const host of ['"><script>', 'a b', 'a/b', 'a\\b', 'a@b', '-a', 'a:99999999', `${'a'.repeat(300)}`, "a'b", 'a<b>']) {
      assert.equal((await rootOf(strict, { Host: host }))[0], 400, host);
      assert.equal((await rootOf(trusting, { 'X-Forwarded-Host': host }))[0], 400, host);
    }
    assert.equal((await rootOf(trusting, { 'X-Forwarded-Proto': 'javascript' }))[0], 400);
    assert.equal((await rootOf(trusting, { 'X-Forwarded-Prefix': '/a/../b' }))[0], 400);
    assert.equal((await rootOf(trusting, { 'X-Forwarded-Prefix': '//evil.example"' }))[0], 400);
  });

  it('knows addresses, networks and loopback, and says which setting is none of them', () => {
    const trusts = createTrusts(['loopback', '10.0.0.0/8', '192.0.2.7', '2001:db8::/32']);

    for (const address of ['127.0.0.1', '::1', '::ffff:10.9.8.7', '10.0.0.1', '192.0.2.7', '2001:db8::5']) assert.ok(trusts(address), address);
    for (const address of ['11.0.0.1', '192.0.2.8', '2001:db9::5', '', undefined, 'unknown', '_hidden']) assert.ok(!trusts(address), String(address));
    assert.ok(!createTrusts([])('127.0.0.1'));
    assert.throws(() => readConfig({ PACS_API_TRUSTED_PROXIES: '10.0.0.0/99' }), /PACS_API_TRUSTED_PROXIES: 10\.0\.0\.0\/99 is no address/);
  });
});
