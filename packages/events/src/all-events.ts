import type { EventDefinition } from './event.js';
import * as metadata from './metadata.js';
import * as rating from './rating.js';
import * as users from './users.js';

/** All events that the subgraphs publish. */
export const allEvents: readonly EventDefinition[] = [
  ...Object.values(rating),
  ...Object.values(metadata),
  ...Object.values(users),
] as readonly EventDefinition[];
