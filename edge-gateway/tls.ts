import { readFile } from 'node:fs/promises';
import { createSecureContext, type ConnectionOptions, type TlsOptions } from 'node:tls';
import type { Logger } from './logger.ts';

/** Files in PEM. */
export interface TlsFiles {
  readonly keyFile: string;
  readonly certFile: string;
  /** Who signs the certificates of those who may call; undefined: no certificate is asked for. */
  readonly caFile: string | undefined;
}

/**
 * The BCP 195 profile (PS3.15 B.12; RFC 9325 4.2, and RFC 8446 for TLS 1.3): forward secrecy and authenticated
 * encryption only, in the order of the RFC.
 */
const cipherSuites = [
  'TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-GCM-SHA384', 'ECDHE-RSA-AES128-GCM-SHA256', 'ECDHE-RSA-AES256-GCM-SHA384',
] as const;

/**
 * Reads the files into what a TLS listener needs: TLS 1.2 or newer (RFC 8996), and with a CA a client certificate that it
 * signed.
 *
 * @throws when a file cannot be read, or key and certificate do not fit
 */
export async function readTlsOptions({ keyFile, certFile, caFile }: TlsFiles): Promise<TlsOptions> {
  const [key, cert, ca] = await Promise.all([readFile(keyFile), readFile(certFile), caFile === undefined ? undefined : readFile(caFile)]);
  const options: TlsOptions = {
    key, cert, ...(ca && { ca }), requestCert: ca !== undefined, rejectUnauthorized: ca !== undefined,
    minVersion: 'TLSv1.2', ciphers: cipherSuites.join(':'), honorCipherOrder: true,
  };
  createSecureContext(options);
  return options;
}

/** How a TLS peer is called. Files in PEM. */
export interface ClientTlsFiles {
  /** Who signs the peer's certificate; undefined: the CAs that Node comes with. */
  readonly caFile: string | undefined;
  /** Our certificate chain and its key, for a peer that asks who calls. */
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
  /** The name that the peer's certificate has, when that is not the host. */
  readonly serverName: string | undefined;
}

/**
 * Reads the files into what calling a TLS peer needs: the profile of the listener, and a peer that proves who it is.
 *
 * @throws when a file cannot be read, or key and certificate do not fit
 */
export async function readClientTls({ caFile, certFile, keyFile, serverName }: ClientTlsFiles): Promise<ConnectionOptions> {
  const read = async (file: string | undefined): Promise<Buffer | undefined> => (file === undefined ? undefined : readFile(file));
  const [ca, cert, key] = await Promise.all([caFile, certFile, keyFile].map(read));
  const options: ConnectionOptions = {
    ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }), ...(serverName !== undefined && { servername: serverName }),
    rejectUnauthorized: true, minVersion: 'TLSv1.2', ciphers: cipherSuites.join(':'),
  };
  createSecureContext(options);
  return options;
}

const contentOf = ({ key, cert, ca }: TlsOptions): string => [key, cert, ca].map(String).join('\n');

/** What a TLS listener uses now. Certificates are renewed while associations run. */
export interface Certificates {
  readonly current: TlsOptions;
  /** Reads the files again. @returns undefined when they are the same, or cannot be used: that is logged and the old ones stay */
  renew(): Promise<TlsOptions | undefined>;
}

/** @throws as `readTlsOptions` does */
export async function openCertificates(files: TlsFiles, log: Logger): Promise<Certificates> {
  let current = await readTlsOptions(files);
  return {
    get current() {
      return current;
    },
    renew: async () => {
      try {
        const renewed = await readTlsOptions(files);
        if (contentOf(renewed) === contentOf(current)) return undefined;
        current = renewed;
        log.info({}, 'The TLS certificates were renewed');
        return renewed;
      } catch (error) {
        log.error({ err: error }, 'The renewed TLS certificates cannot be used; the old ones stay');
        return undefined;
      }
    },
  };
}
