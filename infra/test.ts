import type { InfraConfig } from './config.ts';
export async function test(_config: InfraConfig, _args: readonly string[]): Promise<number> { return 1; }
