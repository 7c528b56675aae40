//! What ECS, or Elastic's own macOS sensor, has and this sensor cannot know.

/// A field, or with a trailing `.*` a family of fields, that no source of any build provides.
#[derive(Debug)]
pub struct Unobserved {
    /// The dotted path.
    pub path: &'static str,
    /// Why not, for people.
    pub why: &'static str,
}

const HASHES: &str = "hashing a file delays what was started and tells of the file as it is later, not as it \
                      was run; `vedette.cdhash` is what the kernel checked";
const CERTIFICATE: &str = "the name on the certificate needs Security.framework to read the file; \
                           `team_id` and `signing_id` are what the kernel checked";
const MODEL: &str = "a judgement of Elastic's own, not something that macOS tells";
const SHIPPER: &str = "set by whatever ships the records, not by the sensor";
const FILES: &str = "no build subscribes to file events yet";
const ENRICHED: &str = "enrichment: the sensor looks nothing up on the network";
const CONTENT: &str = "the sensor sees connections, not what is sent over them";
const OTHER_SYSTEM: &str = "macOS has no such thing";

/// What is not observed, and why. [`super::lookup`] takes a family for each path below it.
pub const NOT_OBSERVED: &[Unobserved] = &[
    row("agent.id", "the sensor has no identity but its host's: `host.id`"),
    row("agent.name", "the sensor has no identity but its host's: `host.name`"),
    row("agent.ephemeral_id", "the sensor has no identity but its host's: `host.id`"),
    row("data_stream.*", SHIPPER),
    row("elastic.*", SHIPPER),
    row("labels.*", SHIPPER),
    row("tags", SHIPPER),
    row("message", "text for people that says nothing beyond the fields"),
    row("event.created", "the time of reading; it would make a replay differ from the live run"),
    row("event.ingested", "the time of reading; it would make a replay differ from the live run"),
    row("event.id", "only alerts have one: `event.sequence` counts a client's messages"),
    row("event.outcome", "a notification says that something happened; there is no outcome to tell"),
    row("event.code", "macOS numbers no events for people; `event.action` names them"),
    row("event.provider", "`event.module` and `vedette.source` say it"),
    row("event.severity", "only alerts have one"),
    row("event.risk_score", "only alerts have one"),
    row("host.os.Ext.*", "the variant is the same text as `host.os.name`"),
    row("host.domain", "a Mac's directory binding is no part of an event"),
    row("host.geo.*", ENRICHED),
    row("user.domain", OTHER_SYSTEM),
    row("user.email", "no part of an event; `user.id` and `user.name` name the account"),
    row("user.full_name", "no part of an event; `user.id` and `user.name` name the account"),
    row("user.effective.*", "`user.id` is the effective one"),
    row("user.target.*", "no build subscribes to account events yet"),
    row("process.hash.*", HASHES),
    row("process.parent.hash.*", HASHES),
    row("process.code_signature.subject_name", CERTIFICATE),
    row("process.parent.code_signature.subject_name", CERTIFICATE),
    row("process.code_signature.valid", "`process.code_signature.trusted` is as far as the kernel says"),
    row("process.code_signature.timestamp", CERTIFICATE),
    row("process.code_signature.digest_algorithm", CERTIFICATE),
    row("process.code_signature.flags", "`vedette.codesigning_flags`, as a number"),
    row("process.Ext.trusted", MODEL),
    row("process.Ext.trusted_descendant", MODEL),
    row("process.ai_agent.*", MODEL),
    row("process.Ext.script.content", "the sensor reads no files that a process names"),
    row("process.Ext.script.length", "the sensor reads no files that a process names"),
    row("process.Ext.api.*", "Endpoint Security reports no calls, only what came of them"),
    row("process.Ext.token.*", OTHER_SYSTEM),
    row("process.Ext.memory_region.*", "the sensor reads no process's memory"),
    row("process.Ext.dll.*", OTHER_SYSTEM),
    row("process.Ext.relative_file_creation_time", FILES),
    row("process.Ext.relative_file_name_modify_time", FILES),
    row("process.Ext.created_suspended", OTHER_SYSTEM),
    row("process.Ext.device.*", "a process's volume is no part of its messages"),
    row("process.parent.Ext.*", "kept of a process itself, not of its parent"),
    row("process.parent.parent.*", "`process.Ext.ancestry` names the ancestors"),
    row("process.parent.group_leader.*", "kept of a process itself, not of its parent"),
    row("process.entry_leader.*", "macOS has no session entry to tell it by"),
    row("process.group_leader.entity_id", "the message names the process group by its pid only"),
    row("process.group_leader.name", "the message names the process group by its pid only"),
    row("process.group_leader.executable", "the message names the process group by its pid only"),
    row("process.session_leader.entity_id", "the message names the session by its pid only"),
    row("process.session_leader.name", "the message names the session by its pid only"),
    row("process.session_leader.executable", "the message names the session by its pid only"),
    row("process.interactive", "`vedette.tty` tells of the terminal; what the descriptors are is not told"),
    row("process.tty.*", "`vedette.tty` is the terminal's path; its device numbers say nothing more"),
    row("process.thread.*", "which thread of a process acted is not kept"),
    row("process.title", OTHER_SYSTEM),
    row("process.uptime", "`process.start` says it"),
    row("process.end", "`@timestamp` of the `end` event says it"),
    row("process.pe.*", OTHER_SYSTEM),
    row("process.elf.*", OTHER_SYSTEM),
    row("process.macho.*", "the sensor reads no files that a process names"),
    row("process.entry_meta.*", "macOS has no session entry to tell it by"),
    row("process.supplemental_groups.*", "Endpoint Security's messages do not carry them"),
    row("process.real_user.*", "`user.Ext.real`"),
    row("process.saved_user.*", "Endpoint Security's messages do not carry it"),
    row("process.user.*", "`user`"),
    row("process.parent.user.*", "kept of a process itself, not of its parent"),
    row("Effective_process.args", "only what names the responsible process is kept"),
    row("Effective_process.command_line", "only what names the responsible process is kept"),
    row("Effective_process.code_signature.*", "only what names the responsible process is kept"),
    row("process.Ext.effective_parent.*", "only what names the responsible process is kept"),
    row(
        "Target.process.*",
        "for events in which one process acts on another; in a fork `process` is the child and \
         `process.parent` who made it",
    ),
    row("file.*", FILES),
    row("dll.*", "no build subscribes to mappings of libraries yet"),
    row("registry.*", OTHER_SYSTEM),
    row("dns.*", "mDNSResponder asks for every process; who wanted the name is not told"),
    row("http.*", CONTENT),
    row("url.*", CONTENT),
    row("tls.*", CONTENT),
    row("user_agent.*", CONTENT),
    row("network.protocol", CONTENT),
    row("network.application", CONTENT),
    row("network.bytes", "`source.bytes` and `destination.bytes`"),
    row("network.packets", "Elastic's macOS sensor does not have it either; sources count bytes"),
    row("network.community_id", "can be made of the addresses, ports and transport of a record"),
    row("network.name", "the name of the network that a Mac is on is no part of a flow"),
    row("source.packets", "Elastic's macOS sensor does not have it either; sources count bytes"),
    row("destination.packets", "Elastic's macOS sensor does not have it either; sources count bytes"),
    row("source.domain", "the Mac itself: `host.name`"),
    row("source.mac", "flows are seen above the link layer"),
    row("destination.mac", "flows are seen above the link layer"),
    row("source.geo.*", ENRICHED),
    row("source.as.*", ENRICHED),
    row("destination.geo.*", ENRICHED),
    row("destination.as.*", ENRICHED),
    row("source.nat.*", "address translation happens outside the Mac"),
    row("destination.nat.*", "address translation happens outside the Mac"),
    row("cloud.*", OTHER_SYSTEM),
    row("container.*", OTHER_SYSTEM),
    row("orchestrator.*", OTHER_SYSTEM),
];

const fn row(path: &'static str, why: &'static str) -> Unobserved {
    Unobserved { path, why }
}
