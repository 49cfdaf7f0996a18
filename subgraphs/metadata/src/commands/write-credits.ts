import { newId } from '@cinegraph/service/clock';
import { Refusal } from '@cinegraph/service/refusal';
import { codes } from '../codes.js';
import type { Prisma } from '../generated/prisma/client.js';
import type { CreditRole, MovieChanges, PersonInput } from '../generated/resolvers.js';
import type { PersonModel } from '../models.js';

/** Credits that are ready to be written, and the new people in them. Only a role in `roles` is replaced. */
export interface PreparedCredits {
  readonly roles: readonly CreditRole[];
  readonly newPeople: readonly PersonModel[];
  readonly credits: readonly {
    movieId: string;
    role: CreditRole;
    position: number;
    personId: string;
    character: string | null;
  }[];
}

/**
 * Prepares the credits of a change without writing anything. A person without an id gets a new one. Throws
 * PERSON_NOT_FOUND if an id is unknown.
 */
export const prepareCredits = async (
  tx: Prisma.TransactionClient,
  movieId: string,
  { directors, cast }: MovieChanges,
): Promise<PreparedCredits> => {
  const parts = [
    ...(directors ?? []).map((person, index) => ({
      role: 'DIRECTOR' as const,
      index,
      person,
      character: null,
    })),
    ...(cast ?? []).map(({ person, character }, index) => ({
      role: 'ACTOR' as const,
      index,
      person,
      character: character ?? null,
    })),
  ];
  await refuseUnknownPeople(tx, parts);
  const newPeople: PersonModel[] = [];
  const credits = parts.map(({ role, index, person: { id, name }, character }) => {
    const personId = id ?? newId();
    if (name != null) newPeople.push({ id: personId, name });
    return { movieId, role, position: index + 1, personId, character };
  });
  const roles: CreditRole[] = [];
  if (directors !== undefined) roles.push('DIRECTOR');
  if (cast !== undefined) roles.push('ACTOR');
  return { roles, newPeople, credits };
};

/** Replaces the credits of the movie in each of `roles`, and adds the new people. */
export const replaceCredits = async (
  tx: Prisma.TransactionClient,
  movieId: string,
  { roles, newPeople, credits }: PreparedCredits,
): Promise<void> => {
  if (roles.length === 0) return;
  await tx.credit.deleteMany({ where: { movieId, role: { in: [...roles] } } });
  await tx.person.createMany({ data: [...newPeople] });
  await tx.credit.createMany({ data: [...credits] });
};

const refuseUnknownPeople = async (
  tx: Prisma.TransactionClient,
  parts: readonly { readonly person: PersonInput }[],
): Promise<void> => {
  const ids = [...new Set(parts.flatMap(({ person }) => person.id ?? []))];
  if (ids.length === 0) return;
  const found = new Set((await tx.person.findMany({ where: { id: { in: ids } } })).map(({ id }) => id));
  const unknown = ids.find((id) => !found.has(id));
  if (unknown === undefined) return;
  throw new Refusal(
    codes.personNotFound,
    'A person to credit is not known. Give a "name" to add a new one.',
    { personId: unknown.slice(0, 200) },
  );
};
