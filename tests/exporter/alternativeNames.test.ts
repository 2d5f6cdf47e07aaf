import { alternativeNames } from "../../exporter/receive/tls";

test.each([
  ["DNS:a.example, URI:spiffe://x/y, IP Address:10.0.0.1", ["a.example", "spiffe://x/y"]],
  ['DNS:"a, URI:spiffe://x/gateway", DNS:b', ["a, URI:spiffe://x/gateway", "b"]],
  ["", []],
])("alternative names of %j", (subjectAltName, names) => {
  expect(alternativeNames({ subjectAltName })).toEqual(names);
});
