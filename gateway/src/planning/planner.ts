import { Supergraph, operationFromDocument } from '@apollo/federation-internals';
import { QueryPlanner, type QueryPlan } from '@apollo/query-planner';
import { parse } from 'graphql';
export interface Planner {
  plan(operation: string, labels?: readonly string[]): Promise<QueryPlan>;
  mostUsed(count: number): readonly string[];
  stop(): Promise<void>;
}
export const createPlanner = async ({ sdl }: { sdl: string }): Promise<Planner> => {
  const supergraph = Supergraph.build(sdl, { supportedFeatures: null, validateSupergraph: false });
  const planner = new QueryPlanner(supergraph, {});
  const api = supergraph.apiSchema();
  const cache = new Map<string, QueryPlan>();
  return {
    plan: async (operation, labels = []) => {
      const key = operation + labels.join();
      const known = cache.get(key);
      if (known) return known;
      const plan = planner.buildQueryPlan(operationFromDocument(api, parse(operation)), {
        overrideConditions: new Map(labels.map((l) => [l, true])),
      });
      cache.set(key, plan);
      return plan;
    },
    mostUsed: () => [],
    stop: async () => undefined,
  };
};
