/** A tenant's name in keys, workflow IDs and URLs: a DNS label, so that it is safe in each of them. */
const tenantIdPattern = /^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/;
const gatewayIdPattern = tenantIdPattern;

export const isTenantId = (text: string): boolean => tenantIdPattern.test(text);
export const isGatewayId = (text: string): boolean => gatewayIdPattern.test(text);

/** A gateway as its tenant configures it. AE titles are compared exactly, trimmed of outer spaces (PS3.8 9.3.2). */
export interface GatewayConfig {
  readonly gatewayId: string;
  readonly aeTitle: string;
}

export type Destination = DicomDestination | DicomWebDestination;

/**
 * When a delivery counts as done: by the status of the send, only when the destination itself lists the instance
 * (C-FIND at IMAGE level, QIDO-RS), or only when it commits itself to keep it (storage commitment; DICOM destinations alone). A destination may
 * say success and keep nothing.
 */
export type Confirmation = 'status' | 'readBack' | 'commitment';

/** What every kind of destination may say. */
interface DestinationPolicy {
  /** Default `status`. */
  readonly confirmation?: Confirmation;
  /** Associations or requests at once from one worker. Default 2. */
  readonly maxAssociations?: number;
}

/** A Storage SCP in a hospital's network, reached through the gateway that stands in it. */
export interface DicomDestination extends DestinationPolicy {
  readonly kind: 'dicom';
  readonly destinationId: string;
  readonly gatewayId: string;
  readonly host: string;
  readonly port: number;
  readonly calledAETitle: string;
  readonly callingAETitle?: string;
  /** Set when it is called by TLS; `{}` trusts public CAs and shows no certificate. */
  readonly tls?: DestinationTls;
}

/** PEM files by their names in the folder that the gateway's worker has for them (`PACS_DESTINATION_TLS_DIR`): no path, and no secret, is in the configuration. */
export interface DestinationTls {
  /** Who signs the destination's certificate. */
  readonly caFile?: string;
  /** Our certificate chain and its key, for a destination that asks who calls. */
  readonly certFile?: string;
  readonly keyFile?: string;
  /** The name that its certificate has, when that is not `host`. */
  readonly serverName?: string;
}

/** A STOW-RS origin server (PS3.18 10.5); `url` is its DICOMweb root. */
export interface DicomWebDestination extends DestinationPolicy {
  readonly kind: 'dicomweb';
  readonly destinationId: string;
  readonly url: string;
  /** Sent as it is in the Authorization header. */
  readonly authorization?: string;
}

/** A routing rule: every condition must hold (see domain/routing.ts). */
export interface RoutingRule {
  readonly ruleId: string;
  readonly destinationId: string;
  readonly enabled?: boolean;
  readonly priority?: Priority;
  readonly callingAETitles?: readonly string[];
  readonly gatewayIds?: readonly string[];
  /** Attribute keyword → pattern with `*` and `?` (PS3.4 C.2.2.2.4); several patterns are alternatives. */
  readonly attributes?: Readonly<Record<string, string | readonly string[]>>;
}

/** What a tenant's admin decides. Kept as one JSON object in the archive, replaced by If-Match. */
export interface TenantConfig {
  readonly tenantId: string;
  readonly gateways: readonly GatewayConfig[];
  readonly destinations: readonly Destination[];
  readonly rules: readonly RoutingRule[];
}

/** Temporal priority keys: 1 urgent … 5 bulk. */
export type Priority = 1 | 2 | 3 | 4 | 5;
export const priorities = { urgent: 1, routing: 2, ingest: 3, prefetch: 4, bulk: 5 } as const;
export const isPriority = (value: unknown): value is Priority =>
  typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 5;
