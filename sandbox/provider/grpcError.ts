import * as grpc from "@grpc/grpc-js";
import { Any } from "google-protobuf/google/protobuf/any_pb";
import { ErrorResourceInitFailed } from "@pulumi/pulumi/proto/provider_pb";
import { Status } from "@pulumi/pulumi/proto/status_pb";
import { PartialError } from "./outcome";
import { toStruct } from "./values";

/**
 * An error as the engine understands it: its sentence, no stack. One of an object that was written but is not
 * ready carries the object, or else the engine would forget that it exists.
 */
export function grpcError(error: unknown): grpc.ServiceError | Partial<grpc.StatusObject> {
  const details = error instanceof Error ? error.message : String(error);
  if (!(error instanceof PartialError)) return { code: grpc.status.UNKNOWN, details };
  const failure = new ErrorResourceInitFailed()
    .setId(error.stored.id)
    .setProperties(toStruct(error.stored.state))
    .setInputs(toStruct(error.inputs))
    .setReasonsList([...error.reasons]);
  const packed = new Any();
  packed.pack(failure.serializeBinary(), "pulumirpc.ErrorResourceInitFailed");
  const status = new Status().setCode(grpc.status.UNKNOWN).setMessage(details).setDetailsList([packed]);
  const metadata = new grpc.Metadata();
  metadata.set("grpc-status-details-bin", Buffer.from(status.serializeBinary()));
  return { code: grpc.status.UNKNOWN, details, metadata };
}
