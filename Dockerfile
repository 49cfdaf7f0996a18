# The image of one service, chosen by build argument:
#
#   docker build --build-arg SERVICE=gateway --tag cinegraph/gateway:0.1.0 .
#
# SERVICE is the folder of its workspace: gateway, subgraphs/metadata, subgraphs/rating, or one that you add.
# What the stages do is run as plain processes, and what they make is started, by tests/flows/compose-smoke.test.ts.

# An exact version, since the digest could not be looked up where this was written. With the registry at hand, pin it:
# node:24.21.0-bookworm-slim@sha256:…, as `docker buildx imagetools inspect` shows it.
FROM node:24.21.0-bookworm-slim AS node
WORKDIR /app

# Only what says which packages are wanted: a change of source leaves the installations below in the builder's cache.
FROM node AS manifests
COPY . .
RUN find . ! -type d ! -name 'package*.json' -delete && find . -type d -empty -delete && chmod -R a+rX .

# The same for all services, so it runs once for all images.
FROM node AS build
COPY --from=manifests /app ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
# Readable for the account of the service, whatever the umask was where the repository was cloned.
RUN npm run build && chmod -R a+rX gateway packages prisma subgraphs

# What the service needs at run time. Without optional packages and peers: they are the embedded PostgreSQL and Prisma's
# command line, which a container does not use.
FROM node AS modules
ARG SERVICE
COPY --from=manifests /app ./
RUN npm ci --omit=dev --omit=optional --omit=peer --ignore-scripts --no-audit --no-fund --workspace="${SERVICE:?}" --include-workspace-root=false

FROM node AS service
ARG SERVICE
ENV NODE_ENV=production HOST=0.0.0.0 PORT=4000
COPY --from=modules /app ./
COPY --from=build /app/packages/service/dist packages/service/dist
COPY --from=build /app/packages/database/dist packages/database/dist
COPY --from=build /app/packages/messaging/dist packages/messaging/dist
COPY --from=build /app/packages/subgraph/dist packages/subgraph/dist
COPY --from=build /app/packages/events/dist packages/events/dist
COPY --from=build /app/prisma prisma
COPY --from=build /app/${SERVICE}/dist ${SERVICE}/dist
COPY --from=build /app/${SERVICE}/*.graphql ${SERVICE}/
WORKDIR /app/${SERVICE}
# The account `node` of the image, by number, so that an orchestrator can see that it is not root.
USER 1000:1000
EXPOSE 4000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/health/ready`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "dist/main.js"]
