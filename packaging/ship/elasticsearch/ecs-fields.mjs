// Writes the names and types of the ECS fields that Vedette's documents could use, one `field<TAB>type` a line, to
// standard output. The list is Elastic's own, from their package @elastic/ecs (Apache-2.0):
//
//   npm install --no-save @elastic/ecs@9.4.0
//   node packaging/ship/elasticsearch/ecs-fields.mjs > tests/data/ship/ecs-fields.tsv
//
// tests/ship.rs holds the index template against it.

import { createRequire } from "node:module";
import { resolve } from "node:path";

const SETS = ["agent", "destination", "ecs", "event", "group", "host", "network", "process", "rule", "source", "threat", "user"];
// Fields of these parts repeat others for kinds of file and log-in that no Mac has.
const LEFT_OUT = /\.(elf|pe|entry_leader|entry_meta|geo|as|enrichments|indicator|tty|io|x509|risk|boot|cpu|disk)(\.|$)/;

const require = createRequire(resolve("package.json"));
const { EcsFlat } = require("@elastic/ecs");
const rows = Object.entries(EcsFlat)
  .filter(([field]) => !field.includes(".") || (SETS.includes(field.split(".")[0]) && !LEFT_OUT.test(field)))
  .map(([field, { type }]) => `${field}\t${type}`);
console.log(rows.sort().join("\n"));
