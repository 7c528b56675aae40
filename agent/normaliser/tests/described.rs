//! What is known of a description without making it.

use serde_json::{Value as Json, json};

use super::kernel::{EPOCH, document};
use super::*;
use crate::schema;

#[test]
fn a_field_that_a_document_lacks_reads_the_same_whether_its_description_is_made_or_not() {
    let whole: Vec<(&'static str, Json)> = vec![
        ("event.category", json!(["process"])),
        ("event.type", json!(["start"])),
        ("event.action", json!("exec")),
        ("process.pid", json!(7)),
        ("process.entity_id", json!("seven")),
        ("process.name", json!("tool")),
        ("process.executable", json!("/opt/example/tool")),
        ("process.args", json!(["tool", "-v"])),
        ("process.args_count", json!(2)),
        ("process.command_line", json!("tool -v")),
        ("process.working_directory", json!("/tmp")),
        ("process.Ext.script.path", json!("/tmp/script")),
        ("process.group_leader.pid", json!(5)),
        ("process.session_leader.pid", json!(4)),
        ("process.code_signature.exists", json!(true)),
        ("process.code_signature.trusted", json!(true)),
        ("process.code_signature.status", json!("trusted")),
        ("process.code_signature.signing_id", json!("com.example.tool")),
        ("process.code_signature.team_id", json!("EXAMPLE123")),
        ("user.id", json!("501")),
        ("user.name", json!("tove")),
        ("user.Ext.real.id", json!("502")),
        ("user.Ext.real.name", json!("ada")),
        ("group.id", json!("20")),
        ("group.name", json!("staff")),
        ("group.Ext.real.id", json!("21")),
        ("group.Ext.real.name", json!("other")),
        ("vedette.tty", json!("/dev/ttys001")),
        ("vedette.cdhash", json!("00ff")),
        ("vedette.platform_binary", json!(false)),
        ("vedette.codesigning_flags", json!(1)),
    ];
    let mut answered = 0;
    for without in 0..=whole.len() {
        let mut fields = whole.clone();
        let left_out = (without < whole.len()).then(|| fields.remove(without).0);
        let mut normaliser = Normaliser::new(Options::default());
        let Some(event) = normaliser.normalise(0, document(EPOCH, fields)) else { continue };
        let Some(process) = event.process().cloned() else { continue };
        assert!(process.description.excerpt().is_some(), "nothing is made yet");
        for (field, spec) in (0..).map(FieldId).zip(FIELDS) {
            answered += usize::from(process.description.lacks(field));
            // No list and an empty one are the same.
            let (known, made) = (schema::read(&event, field), (spec.read)(&event));
            let both_missing = known.is_missing() && made.is_missing();
            assert!(both_missing || known == made, "{} without {left_out:?}: {known:?}, {made:?}", spec.path);
        }
    }
    assert!(answered >= 20, "{answered} times it was known that there is nothing");
}
