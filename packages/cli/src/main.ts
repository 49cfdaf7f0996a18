/**
 * Performs a command of the command line; answers the exit code. `signal` is aborted when the person or the system
 * wants it to end. What a person typed wrong, or what keeps it from working, is thrown as a StartError.
 */
export const perform = async (
  command: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<number> => {
  switch (command) {
    case 'start':
      return (await import('./start.js')).start(args, signal);
    case 'import':
      return (await import('./import.js')).importSource(args, signal);
    case 'compose':
      return (await import('./compose.js')).compose(args, { signal });
    case 'kafka':
      return (await import('./kafka.js')).kafka(args, signal);
    case 'announce':
      return (await import('./jobs.js')).runEverywhere(command, args, signal);
    case 'ratings':
      return (await import('./jobs.js')).runSubgraphCommand(command, args, signal);
    default:
      throw new Error(`there is no command ${command}`);
  }
};
