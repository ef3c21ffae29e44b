import { status } from '../../dicom/status.ts';
import type { AssociationEnd, AssociationInfo, AssociationLink, AssociationSession, DimseRequest, DimseResponse, OpenSession, Operation } from './service.ts';

/** One service of an association. */
export interface DimseService {
  /** Command Fields (PS3.7 E.1) that it answers. */
  readonly operations: readonly number[];
  /** Abstract syntaxes in whose contexts it answers them; absent: every one that no other service names. */
  readonly abstractSyntaxUIDs?: readonly string[];
  handle(request: DimseRequest, operation: Operation): Promise<DimseResponse>;
  /** The association ended: called once, after the last `handle` settled. */
  ended?(how: AssociationEnd): Promise<void>;
}

export type OpenService = (association: AssociationInfo, link: AssociationLink) => DimseService | Promise<DimseService>;

/** A session that hands each request to the service of its command field and abstract syntax; a request of no service gets 0211. */
export const composeSession = (openers: readonly OpenService[]): OpenSession => async (association, link) => {
  const services: DimseService[] = [];
  for (const open of openers) services.push(await open(association, link));
  const named = new Set(services.flatMap(({ abstractSyntaxUIDs }) => abstractSyntaxUIDs ?? []));
  const takes = ({ operations, abstractSyntaxUIDs }: DimseService, commandField: number, abstractSyntaxUID: string): boolean =>
    operations.includes(commandField) && (abstractSyntaxUIDs?.includes(abstractSyntaxUID) ?? !named.has(abstractSyntaxUID));
  const session: AssociationSession = {
    operations: [...new Set(services.flatMap(({ operations }) => operations))],
    handle: (request, operation) => {
      const service = services.find((each) => takes(each, request.command.commandField, request.abstractSyntaxUID));
      return service ? service.handle(request, operation) : Promise.resolve({ status: status.unrecognizedOperation });
    },
    ended: async (how) => {
      const ends = await Promise.allSettled(services.map((service) => service.ended?.(how)));
      const failed = ends.find((end) => end.status === 'rejected');
      if (failed) throw failed.reason;
    },
  };
  return session;
};
