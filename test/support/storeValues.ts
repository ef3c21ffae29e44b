import type { S3Values } from '../../stores/s3/s3.ts';

/** Plain values from the environment of a stack. */
export const s3ValuesOf = (env: Readonly<Record<string, string>>): S3Values => ({
  endpoint: env['S3_ENDPOINT'] ?? '', region: env['PACS_S3_REGION'] ?? 'us-east-1', bucket: env['PACS_S3_BUCKET'] ?? '',
  credentials: { accessKeyId: env['AWS_ACCESS_KEY_ID'] ?? '', secretAccessKey: env['AWS_SECRET_ACCESS_KEY'] ?? '' },
});
