//! What a profile is made of. The files themselves, and what another reader makes of them, are in `tests/profile.rs`.

use super::*;
use crate::identity::sensor_id;

const TEAM: &str = "ABCDE12345";

fn signature(identifier: &str, team: Option<&str>, designated: Option<Requirement>) -> CodeSignature {
    CodeSignature {
        identifier: identifier.to_owned(),
        team: team.map(str::to_owned),
        adhoc: team.is_none(),
        designated,
        cms: Vec::new(),
    }
}

#[test]
fn only_a_team_can_be_named() {
    assert!(Signer::of_team(TEAM).is_ok());
    for bad in ["", "abcde12345", "ABCDE1234", "ABCDE123456", "ABCDE 2345", "ABCDE1234\n", "ÄBCDE1234"] {
        assert!(Signer::of_team(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn the_programs_own_requirement_is_taken_where_it_asks_for_enough() {
    let id = sensor_id();
    let own = Requirement::And(
        Box::new(Requirement::AnchorAppleGeneric),
        Box::new(Requirement::developer_id(&id, TEAM)),
    );
    let of = |designated| Signer::of_program(&[signature(&id, Some(TEAM), designated)], Some(TEAM));
    let taken = of(Some(own.clone())).expect("it is the sensor");
    assert_eq!((taken.requirement, taken.designated), (own, true));
    for lax in
        [None, Some(Requirement::Identifier(id.clone())), Some(Requirement::CodeDirectoryHash(vec![1]))]
    {
        let made = of(lax).expect("it is the sensor");
        assert_eq!((made.requirement, made.designated), (Requirement::developer_id(&id, TEAM), false));
    }
}

#[test]
fn another_program_another_team_or_none_is_refused() {
    let id = sensor_id();
    let app = crate::identity::app_id();
    for (signatures, reason) in [
        (vec![signature(&app, Some(TEAM), None)], "name the program of the extension"),
        (vec![signature(&id, None, None)], "no team signed it"),
        (vec![signature(&id, Some("ABCDE99999"), None)], "the team ABCDE99999 signed it, and not ABCDE12345"),
        (vec![signature(&id, Some("not a team"), None)], "no team signed it"),
        (vec![signature(&id, Some(TEAM), None), signature(&id, None, None)], "signed differently"),
        (vec![], "no architecture"),
    ] {
        let error = Signer::of_program(&signatures, Some(TEAM)).expect_err(reason);
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn the_lint_finds_what_an_mdm_would_find_late() {
    let signer = Signer::of_team(TEAM).expect("a team");
    let configuration = Configuration::new(None, &[], &[]).expect("the defaults");
    let good = deployment(&signer, &configuration);
    assert_eq!(lint(&good), Vec::<String>::new());
    assert_eq!(lint(&[removal(&signer)]), Vec::<String>::new());
    let changed = |from: &str, to: &str| {
        let mut profile = good[0].clone();
        profile.bytes = String::from_utf8(profile.bytes).expect("XML").replace(from, to).into_bytes();
        assert_ne!(profile.bytes, good[0].bytes, "{from}");
        lint(&[profile])
    };
    let uuid = &good[0].uuid;
    for (from, to, problem) in [
        ("<plist", "<html", "no property list"),
        (&uuid[..], "1", "`1` is no UUID"),
        (TEAM, "abc", "`abc` is no team"),
        (&good[0].identifier, "com.example", "does not begin with"),
        ("PayloadDisplayName", "PayloadName", "PayloadDisplayName is missing"),
        ("<integer>1</integer>", "<integer>2</integer>", "PayloadVersion is not 1"),
        ("AllowedSystemExtensions", "RemovableSystemExtensions", "removable and non-removable at once"),
        ("<string>Configuration</string>", "<string>Other</string>", "no configuration of one payload"),
    ] {
        let problems = changed(from, to);
        assert!(problems.iter().any(|found| found.contains(problem)), "{from}: {problems:?}");
    }
    let both = lint(&[good[0].clone(), removal(&signer)]);
    assert!(
        both.iter().any(|problem| problem.ends_with("is used twice")),
        "one takes the other's place: {both:?}"
    );
}
