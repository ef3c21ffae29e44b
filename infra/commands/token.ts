import { parseArgs } from 'node:util';
import type { InfraConfig } from '../config.ts';
import { StackError } from '../native/parts.ts';
import { pathsOf } from '../native/paths.ts';
import { tokenKey } from '../secrets.ts';
import { ROLES, signToken, type Role } from '../token.ts';

/** Prints a bearer token for the API of this stack, and nothing else. */
export async function token(config: InfraConfig, args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      tenant: { type: 'string', multiple: true },
      role: { type: 'string', multiple: true },
      sub: { type: 'string', default: 'cli' },
      ttl: { type: 'string', default: '8h' },
    },
  });
  const roles = values.role ?? [];
  const wrong = roles.find((role) => !(ROLES as readonly string[]).includes(role));
  if (!values.tenant || roles.length === 0 || wrong) {
    throw new StackError(`${wrong ? `There is no role "${wrong}". ` : ''}Usage: ./pacs token --tenant T --role R [--sub NAME] [--ttl 8h]; roles: ${ROLES.join(', ')}. --tenant and --role may be repeated.`);
  }
  if (!/^\d+\s?[smhd]$/.test(values.ttl)) throw new StackError(`--ttl is a number and a unit, as 30m, 8h or 7d, not "${values.ttl}".`);
  const key = tokenKey(config.passedOn['PACS_TOKEN_KEY_FILE'] ?? pathsOf(config.home).tokenKey);
  console.log(await signToken({ sub: values.sub, tenants: values.tenant, roles: roles as readonly Role[] }, key, values.ttl));
  return 0;
}
