import type * as grpc from "@grpc/grpc-js";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { PluginInfo } from "@pulumi/pulumi/proto/plugin_pb";
import type { PluginAttach } from "@pulumi/pulumi/proto/plugin_pb";
import * as proto from "@pulumi/pulumi/proto/provider_pb";
import sdk from "@pulumi/kubernetes/package.json";
import { formatPath, type Change } from "./difference";
import { grpcError } from "./grpcError";
import { EngineProgress } from "./progress";
import { Resources } from "./resources";
import { activeServer, readSettings } from "./settings";
import { Connection } from "./connection";
import { fromStruct, isProperties, revealSecrets, textAt, toStruct, type Properties } from "./values";

/** Of the SDK that sends the requests; `+standin` is build metadata, so that the engine takes it for that version. */
const version = `${sdk.version}+standin`;

/**
 * The gRPC methods of a Pulumi resource provider. What is missing here is answered with "unimplemented".
 *
 * @param engineAddress where to send messages; older engines give it as argument, newer ones by Handshake.
 */
export function handlers(engineAddress?: string): grpc.UntypedServiceImplementation {
  const progress = new EngineProgress();
  const cancellation = new AbortController();
  if (engineAddress !== undefined) progress.connect(engineAddress);
  let resources: Resources | undefined;
  const configured = (): Resources => {
    if (resources === undefined) throw new Error("the Kubernetes provider is not configured yet");
    return resources;
  };

  return {
    handshake: unary((request: proto.ProviderHandshakeRequest) => {
      progress.connect(request.getEngineAddress());
      return new proto.ProviderHandshakeResponse().setAcceptSecrets(true);
    }),
    attach: unary((request: PluginAttach) => {
      progress.connect(request.getAddress());
      return new Empty();
    }),
    getPluginInfo: unary(() => new PluginInfo().setVersion(version)),
    getSchema: unary(() =>
      new proto.GetSchemaResponse().setSchema(
        JSON.stringify({ name: "kubernetes", version: sdk.version, resources: {} }),
      ),
    ),
    getMapping: unary(() => new proto.GetMappingResponse()),
    getMappings: unary(() => new proto.GetMappingsResponse()),
    cancel: unary(() => {
      cancellation.abort();
      return new Empty();
    }),

    checkConfig: unary((request: proto.CheckRequest) =>
      new proto.CheckResponse().setInputs(request.getNews()),
    ),
    diffConfig: unary(diffConfig),
    configure: unary(async (request: proto.ConfigureRequest) => {
      const variables = new Map(request.getVariablesMap().toArray());
      resources = new Resources(
        await Connection.open(readSettings(variables), progress, cancellation.signal),
      );
      return new proto.ConfigureResponse().setAcceptsecrets(true).setSupportspreview(true);
    }),

    check: unary(async (request: proto.CheckRequest) => {
      const seed = request.getRandomseed_asU8();
      const olds = fromStruct(request.getOlds());
      const checked = await configured().check(request.getUrn(), fromStruct(request.getNews()), olds, seed);
      return new proto.CheckResponse().setInputs(toStruct(checked));
    }),
    diff: unary((request: proto.DiffRequest) => {
      const comparison = configured().diff(
        request.getUrn(),
        fromStruct(request.getOlds()),
        fromStruct(request.getOldInputs()),
        fromStruct(request.getNews()),
      );
      return diffResponse(comparison.changes, comparison.deleteBeforeReplace);
    }),
    create: unary(async (request: proto.CreateRequest) => {
      const inputs = fromStruct(request.getProperties());
      const stored = await configured().create(
        request.getUrn(),
        inputs,
        request.getPreview(),
        request.getTimeout(),
      );
      return new proto.CreateResponse().setId(stored.id).setProperties(toStruct(stored.state));
    }),
    read: unary(async (request: proto.ReadRequest) => {
      const found = await configured().read(
        request.getUrn(),
        request.getId(),
        fromStruct(request.getProperties()),
        fromStruct(request.getInputs()),
      );
      // An answer without an id takes the resource out of the state.
      if (found === undefined) return new proto.ReadResponse();
      return new proto.ReadResponse()
        .setId(found.id)
        .setProperties(toStruct(found.state))
        .setInputs(toStruct(found.inputs));
    }),
    update: unary(async (request: proto.UpdateRequest) => {
      const state = await configured().update(
        request.getUrn(),
        fromStruct(request.getOlds()),
        fromStruct(request.getNews()),
        request.getPreview(),
        request.getTimeout(),
      );
      return new proto.UpdateResponse().setProperties(toStruct(state));
    }),
    delete: unary(async (request: proto.DeleteRequest) => {
      await configured().delete(
        request.getUrn(),
        request.getId(),
        fromStruct(request.getProperties()),
        fromStruct(request.getOldInputs()),
        request.getTimeout(),
      );
      return new Empty();
    }),
  };
}

type Unary<Request, Response> = (
  call: grpc.ServerUnaryCall<Request, Response>,
  respond: grpc.sendUnaryData<Response>,
) => void;

function unary<Request, Response>(
  handle: (request: Request) => Response | Promise<Response>,
): Unary<Request, Response> {
  return (call, respond) => {
    void (async () => handle(call.request))().then(
      (response) => respond(null, response),
      (error: unknown) => respond(grpcError(error)),
    );
  };
}

/** Another cluster means other objects; any other change of the provider's configuration is an update of it. */
async function diffConfig(request: proto.DiffRequest): Promise<proto.DiffResponse> {
  const old = revealSecrets(fromStruct(request.getOlds()));
  const wanted = revealSecrets(fromStruct(request.getNews()));
  const keys = [...new Set([...Object.keys(old), ...Object.keys(wanted)])];
  const changed = keys.filter((key) => JSON.stringify(old[key]) !== JSON.stringify(wanted[key]));
  const response = new proto.DiffResponse().setDiffsList(changed);
  if (changed.length === 0) return response.setChanges(proto.DiffResponse.DiffChanges.DIFF_NONE);
  const before = await activeServer(clusterSettings(old));
  const after = await activeServer(clusterSettings(wanted));
  const moved = before !== undefined && after !== undefined && before !== after;
  const causes = changed.filter((key) => ["kubeconfig", "context", "cluster"].includes(key));
  return response.setReplacesList(moved ? causes : []).setChanges(proto.DiffResponse.DiffChanges.DIFF_SOME);
}

function clusterSettings(config: Properties) {
  const kubeconfig = config["kubeconfig"];
  return {
    kubeconfig: isProperties(kubeconfig) ? JSON.stringify(kubeconfig) : textAt(config, "kubeconfig"),
    context: textAt(config, "context"),
    cluster: textAt(config, "cluster"),
  };
}

function diffResponse(changes: readonly Change[], deleteBeforeReplace: boolean): proto.DiffResponse {
  const { DIFF_NONE, DIFF_SOME } = proto.DiffResponse.DiffChanges;
  const response = new proto.DiffResponse()
    .setChanges(changes.length === 0 ? DIFF_NONE : DIFF_SOME)
    .setReplacesList(changes.filter((change) => change.replace).map((change) => formatPath(change.path)))
    .setDeletebeforereplace(deleteBeforeReplace)
    .setHasdetaileddiff(true);
  for (const change of changes) {
    const detail = new proto.PropertyDiff().setKind(propertyKind(change)).setInputdiff(true);
    response.getDetaileddiffMap().set(formatPath(change.path), detail);
  }
  return response;
}

function propertyKind({ kind, replace }: Change): proto.PropertyDiff.Kind {
  const { ADD, ADD_REPLACE, DELETE, DELETE_REPLACE, UPDATE, UPDATE_REPLACE } = proto.PropertyDiff.Kind;
  const kinds = {
    add: [ADD, ADD_REPLACE],
    delete: [DELETE, DELETE_REPLACE],
    update: [UPDATE, UPDATE_REPLACE],
  } as const;
  return kinds[kind][replace ? 1 : 0];
}
