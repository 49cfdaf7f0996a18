/**
 * Runs a command of the command line and returns its exit code. `signal` is aborted when a person or the
 * system asks it to end. Throws a StartError for wrong arguments and for anything else that a person can
 * repair.
 */
export const perform = async (
  command: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<number> => {
  switch (command) {
    case 'start':
      return (await import('./start/start.js')).start(args, signal);
    case 'import':
      return (await import('./import/import.js')).importSource(args, signal);
    case 'compose':
      return (await import('./compose/command.js')).compose(args, { signal });
    case 'plan':
      return (await import('./plan.js')).plan(args, signal);
    case 'operations':
      return (await import('./operations.js')).operations(args, signal);
    case 'kafka':
      return (await import('./kafka.js')).kafka(args, signal);
    case 'events':
      return (await import('./events.js')).events(args, signal);
    case 'movies':
      return (await import('./jobs.js')).runSubgraphCommand('metadata', args, signal);
    case 'ratings':
      return (await import('./jobs.js')).runSubgraphCommand('rating', args, signal);
    default:
      throw new Error(`there is no command ${command}`);
  }
};
