import { readPage, toConnection } from '@cinegraph/subgraph/pagination';
import type { PersonResolvers } from '../generated/resolvers.js';

export const Person: PersonResolvers = {
  __resolveReference: ({ id }, { loaders }) => loaders.personByReference.load(id),

  filmography: async ({ id }, { first, after }, { loaders, cursors }) => {
    const scope = `Person.filmography:${id}`;
    const page = readPage({ first, after: after ?? null }, cursors, scope);
    const credits = await loaders.filmographyByPerson.load({
      personId: id,
      size: page.size,
      cursor: page.cursor,
    });
    return {
      ...toConnection(credits, page, ({ sortDay, movie, role, position }) =>
        cursors.seal(scope, [sortDay, movie.id, role, position]),
      ),
      total: () => loaders.creditCountByPersonId.load(id),
    };
  },
};
