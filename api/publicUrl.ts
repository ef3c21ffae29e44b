import { BlockList, isIP } from 'node:net';
import type { Request } from 'express';
import { badRequest } from './problems.ts';

/** Whether what a peer says of the request before it is believed. */
export type Trusts = (address: string | undefined) => boolean;

const loopback = ['127.0.0.0/8', '::1'];

/**
 * @param names addresses, networks as `10.0.0.0/8`, or `loopback`; none trusts nobody
 * @throws RangeError that names the one that is none of these
 */
export function createTrusts(names: readonly string[]): Trusts {
  const list = new BlockList();
  for (const name of names.flatMap((each) => (each === 'loopback' ? loopback : [each]))) {
    const [address = '', bits, ...more] = name.split('/');
    const family = isIP(address);
    const prefix = bits === undefined ? (family === 6 ? 128 : 32) : /^\d{1,3}$/.test(bits) ? Number(bits) : NaN;
    if (family === 0 || more.length > 0 || !(prefix <= (family === 6 ? 128 : 32))) throw new RangeError(`${name} is no address, no network and not loopback`);
    list.addSubnet(address, prefix, family === 6 ? 'ipv6' : 'ipv4');
  }
  return (address = '') => {
    const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
    const family = isIP(plain);
    return family !== 0 && list.check(plain, family === 6 ? 'ipv6' : 'ipv4');
  };
}

/** As a client wrote the URL: none of it is taken before it is known to be harmless in a header and in XML. */
interface Origin { readonly scheme: string; readonly host: string; readonly prefix: string }

const isHost = (text: string): boolean => text.length <= 255 && /^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\.?|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$/.test(text);
const isPrefix = (text: string): boolean => text.length <= 200 && /^(?:\/[A-Za-z0-9._~-]+)*\/?$/.test(text) && !text.split('/').includes('..');

/**
 * Where clients reach this API, without a slash at the end: links in answers begin with it. That is the configured URL, else what a
 * trusted proxy says in Forwarded (RFC 7239) or X-Forwarded-Proto, -Host, -Port and -Prefix, else the Host header.
 *
 * @throws HttpProblem 400 when the Host header, or what the trusted proxy says, is no host
 */
export const createPublicUrl = (configured: string | undefined, trusts: Trusts) => (request: Request): string => {
  if (configured !== undefined) return configured;
  const direct: Origin = { scheme: request.protocol, host: request.get('Host') ?? 'localhost', prefix: '' };
  const { scheme, host, prefix } = trusts(request.socket.remoteAddress) ? forwarded(request, trusts, direct) : direct;
  if (!isHost(host) || !['http', 'https'].includes(scheme) || !isPrefix(prefix)) throw badRequest('The host in the request is none. Check the Host header, and what proxies say in Forwarded or X-Forwarded-Host.');
  return `${scheme}://${host}${prefix.replace(/\/$/, '')}`;
};

function forwarded(request: Request, trusts: Trusts, direct: Origin): Origin {
  const hops = hopsOf(request.get('Forwarded') ?? '');
  const last = (name: string): string | undefined => request.get(name)?.split(',').at(-1)?.trim() || undefined;
  const prefix = last('X-Forwarded-Prefix') ?? '';
  if (hops.length > 0) {
    const edge = hops.findLast((hop) => !trusts(addressOf(hop.get('for')))) ?? hops[0]!;
    return { scheme: edge.get('proto')?.toLowerCase() ?? direct.scheme, host: edge.get('host') ?? direct.host, prefix };
  }
  const host = last('X-Forwarded-Host') ?? direct.host;
  const port = last('X-Forwarded-Port');
  const scheme = last('X-Forwarded-Proto')?.toLowerCase() ?? direct.scheme;
  const said = port !== undefined && !/:\d+$/.test(host) && port !== (scheme === 'https' ? '443' : '80') ? `${host}:${port}` : host;
  return { scheme, host: said, prefix };
}

/** The elements of Forwarded, the client's first; what is malformed is left out. */
const hopsOf = (header: string): readonly ReadonlyMap<string, string>[] =>
  [...header.matchAll(/(?:[^,"]|"(?:[^"\\]|\\.)*")+/g)].map(([element]) => new Map([...element.matchAll(/([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]+))/g)]
    .map(([, name = '', quoted, plain = '']) => [name.toLowerCase(), quoted?.replaceAll(/\\(.)/g, '$1') ?? plain] as const)));

const addressOf = (node = ''): string => node.replace(/^\[(.*)\](?::\d+)?$/, '$1').replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, '$1');
