# The image of one service, chosen by build argument:
#
#   docker build --build-arg SERVICE=gateway --tag cinegraph/gateway:0.1.0 .
#
# SERVICE is the folder of its workspace: gateway, subgraphs/metadata, subgraphs/rating, subgraphs/users, or one that you add.
# `.ci/images` builds all of them with podman, looks into them and starts them.

# An exact version. Pin its digest where a registry can be reached:
# node:24.21.0-bookworm-slim@sha256:…, as `docker buildx imagetools inspect` shows it.
FROM node:24.21.0-bookworm-slim AS node
WORKDIR /app

# Only the package files: a change of source leaves the installations below in the builder's cache.
FROM node AS manifests
COPY . .
RUN find . ! -type d ! -name 'package*.json' -delete && find . -type d -empty -delete && chmod -R a+rX .

# The same for all services, so that it runs once for all images.
FROM node AS build
COPY --from=manifests /app ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
# Readable for the service's account, whatever umask the repository was cloned with.
RUN npm run build && chmod -R a+rX gateway packages prisma subgraphs

# The packages that the service needs at run time. Optional packages and peers are left out: they are Prisma's command
# line and tools of other platforms.
FROM node AS modules
ARG SERVICE
COPY --from=manifests /app ./
RUN npm ci --omit=dev --omit=optional --omit=peer --ignore-scripts --no-audit --no-fund --workspace="${SERVICE:?}" --include-workspace-root=false

# npm links the workspaces that the service depends on; these alone get their build output.
FROM modules AS packages
ARG SERVICE
COPY --from=build /app /built
RUN for folder in $(realpath --relative-to=. node_modules/@cinegraph/*); do \
      for part in dist migrations; do \
        if [ -d "/built/$folder/$part" ]; then cp -r "/built/$folder/$part" "$folder/"; fi; \
      done; \
    done && cp /built/${SERVICE}/*.graphql ${SERVICE}/

FROM node AS service
ARG SERVICE
ENV NODE_ENV=production HOST=0.0.0.0 PORT=4000
COPY --from=packages /app ./
COPY --from=build /app/prisma prisma
WORKDIR /app/${SERVICE}
# The account `node` of the image, by number, so that an orchestrator can see that it is not root.
USER 1000:1000
EXPOSE 4000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/health/ready`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "dist/main.js"]
