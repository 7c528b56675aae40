//! Signatures laid by hand, whole and broken. Those that a signing tool wrote are in `tests/profile.rs`.

use super::*;
use requirement::Match;

/// A blob: magic, length, and what it holds.
fn blob(magic: u32, content: &[u8]) -> Vec<u8> {
    [&magic.to_be_bytes(), &(8 + content.len() as u32).to_be_bytes(), content].concat()
}

/// An index of blobs by slot.
fn index_of(magic: u32, blobs: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut content = (blobs.len() as u32).to_be_bytes().to_vec();
    let mut at = 12 + 8 * blobs.len();
    for (slot, blob) in blobs {
        content.extend(slot.to_be_bytes());
        content.extend((at as u32).to_be_bytes());
        at += blob.len();
    }
    blobs.iter().for_each(|(_, blob)| content.extend(blob));
    super::tests::blob(magic, &content)
}

fn code_directory(identifier: &str, team: Option<&str>, flags: u32) -> Vec<u8> {
    let mut content = vec![0; 52];
    content[..4].copy_from_slice(&WITH_TEAM.to_be_bytes());
    content[4..8].copy_from_slice(&flags.to_be_bytes());
    content[12..16].copy_from_slice(&60u32.to_be_bytes());
    content.extend(identifier.bytes().chain([0]));
    if let Some(team) = team {
        let at = 8 + content.len() as u32;
        content[40..44].copy_from_slice(&at.to_be_bytes());
        content.extend(team.bytes().chain([0]));
    }
    blob(CODE_DIRECTORY, &content)
}

fn data(bytes: &[u8]) -> Vec<u8> {
    let mut all = (bytes.len() as u32).to_be_bytes().to_vec();
    all.extend(bytes);
    all.resize(all.len().next_multiple_of(4), 0);
    all
}

fn code(number: u32) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

fn expression(parts: &[Vec<u8>]) -> Vec<u8> {
    blob(0xfade_0c00, &[code(1), parts.concat()].concat())
}

/// The requirement that `codesign` gives a Developer ID's program, as the operations of requirement.h.
fn developer_id(identifier: &str, team: &str) -> Vec<u8> {
    const INTERMEDIATE: [u8; 10] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x63, 0x64, 0x06, 0x02, 0x06];
    const APPLICATION: [u8; 10] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x63, 0x64, 0x06, 0x01, 0x0d];
    expression(&[
        [code(6), code(6), code(6), code(6)].concat(),
        [code(2), data(identifier.as_bytes())].concat(),
        code(15),
        [code(14), code(1), data(&INTERMEDIATE), code(0)].concat(),
        [code(14), code(0), data(&APPLICATION), code(0)].concat(),
        [code(11), code(0), data(b"subject.OU"), code(1), data(team.as_bytes())].concat(),
    ])
}

fn signature(identifier: &str, team: Option<&str>, requirement: Vec<u8>) -> Vec<u8> {
    index_of(
        EMBEDDED_SIGNATURE,
        &[
            (SLOT_CODE_DIRECTORY, code_directory(identifier, team, 0)),
            (SLOT_REQUIREMENTS, index_of(REQUIREMENTS, &[(DESIGNATED, requirement)])),
            (SLOT_SIGNATURE, blob(0xfade_0b01, b"cms")),
        ],
    )
}

/// A program of one load command before the one for its signature.
fn program(signature: &[u8]) -> Vec<u8> {
    let word = |number: u32| number.to_le_bytes().to_vec();
    let commands =
        [word(0x1b), word(24), vec![7; 16], word(0x1d), word(16), word(72), word(signature.len() as u32)];
    let header = [0xfeed_facf, 0x0100_000c, 0, 2, 2, 40, 0, 0].map(word).concat();
    [header, commands.concat(), signature.to_vec()].concat()
}

fn universal(slices: &[Vec<u8>]) -> Vec<u8> {
    let mut file = [0xcafe_babe, slices.len() as u32].map(u32::to_be_bytes).concat();
    let mut at = 8 + 20 * slices.len() as u32;
    for slice in slices {
        file.extend([0, 0, at, slice.len() as u32, 0].map(u32::to_be_bytes).concat());
        at += slice.len() as u32;
    }
    [file, slices.concat()].concat()
}

const ID: &str = "dev.vedette.sensor";
const TEAM: &str = "1BCDE12345";

#[test]
fn identifier_team_and_requirement_of_each_architecture() {
    let one = program(&signature(ID, Some(TEAM), developer_id(ID, TEAM)));
    let read = parse(&universal(&[one.clone(), one])).expect("it is in order");
    assert_eq!(read.len(), 2);
    assert_eq!(read[0], read[1]);
    assert_eq!((read[0].identifier.as_str(), read[0].team.as_deref()), (ID, Some(TEAM)));
    assert_eq!((read[0].adhoc, read[0].cms.as_slice()), (false, &b"cms"[..]));
    let designated = read[0].designated.as_ref().expect("a requirement");
    assert_eq!(designated, &Requirement::developer_id(ID, TEAM));
    assert_eq!(
        designated.to_string(),
        "identifier \"dev.vedette.sensor\" and anchor apple generic \
         and certificate 1[field.1.2.840.113635.100.6.2.6] /* exists */ \
         and certificate leaf[field.1.2.840.113635.100.6.1.13] /* exists */ \
         and certificate leaf[subject.OU] = \"1BCDE12345\""
    );
}

#[test]
fn every_cut_and_every_changed_byte_is_an_answer_and_no_panic() {
    let whole = universal(&[program(&signature(ID, Some(TEAM), developer_id(ID, TEAM)))]);
    let expected = parse(&whole).expect("it is in order");
    for length in 0..whole.len() {
        assert!(parse(&whole[..length]).is_err(), "{length}");
    }
    let mut refused = 0;
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0xff, whole[at] ^ 0x80] {
            let mut changed = whole.clone();
            changed[at] = value;
            match parse(&changed) {
                Err(_) => refused += 1,
                Ok(read) => assert!(changed != whole || read == expected),
            }
        }
    }
    assert!(refused > 100, "most of the bytes are lengths and magics: {refused}");
}

#[test]
fn what_is_no_signed_program_is_said() {
    let unsigned = {
        let mut program = program(&[]);
        program[16..20].copy_from_slice(&1u32.to_le_bytes());
        program
    };
    for (bytes, reason) in [
        (b"".to_vec(), "no Mach-O"),
        (b"#!/bin/sh\n".to_vec(), "no 64-bit Mach-O"),
        // A Java class file of version 52.
        (vec![0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 52], "no Mach-O"),
        (unsigned, "not signed"),
        (program(&[]), "cut short or not in order"),
    ] {
        let error = parse(&bytes).expect_err(reason);
        assert!(error.contains(reason), "{error}");
    }
    let endless = program(&signature(ID, None, expression(&vec![code(9); 5000])));
    assert!(parse(&endless).expect_err("it is too deep").contains("not in order"));
    let odd = program(&signature(ID, None, expression(&[code(21)])));
    assert!(parse(&odd).expect_err("notarized").contains("operation 21"), "it is named");
    let hostile = expression(&[code(2), data("a\u{1b}[2J".as_bytes())]);
    assert!(parse(&program(&signature(ID, None, hostile))).is_err());
    let slow = program(&index_of(EMBEDDED_SIGNATURE, &[(0, code_directory("a b", None, 0))]));
    assert!(parse(&slow).is_err(), "an identifier has no spaces");
}

#[test]
fn a_requirement_is_for_one_program_of_one_team_or_it_is_not() {
    let id = || Box::new(Requirement::Identifier(ID.into()));
    let apple = || Box::new(Requirement::AnchorAppleGeneric);
    let team = |team: &str| {
        let equals = Match::Equals(team.into());
        Box::new(Requirement::CertificateField(requirement::Certificate(0), "subject.OU".into(), equals))
    };
    let and = |left, right| Box::new(Requirement::And(left, right));
    let or = |left, right| Box::new(Requirement::Or(left, right));
    assert!(Requirement::developer_id(ID, TEAM).is_for(ID, TEAM));
    for (requirement, text) in [
        // Either way it is the same team.
        (and(id(), and(apple(), or(team(TEAM), team(TEAM)))), true),
        (and(id(), team(TEAM)), false),
        (and(id(), apple()), false),
        (and(apple(), team(TEAM)), false),
        (and(id(), or(apple(), team(TEAM))), false),
        (or(id(), and(apple(), team(TEAM))), false),
        (and(id(), and(apple(), team("ZZZZZ12345"))), false),
        (and(id(), and(apple(), Box::new(Requirement::Not(team(TEAM))))), false),
        (and(id(), and(Box::new(Requirement::AnchorApple), team(TEAM))), false),
        (and(Box::new(Requirement::CodeDirectoryHash(vec![1])), and(id(), and(apple(), team(TEAM)))), false),
    ] {
        assert_eq!(requirement.is_for(ID, TEAM), text, "{requirement}");
    }
    let nested = and(or(id(), apple()), Box::new(Requirement::Not(and(id(), team("a\"b\\")))));
    let text = "(identifier \"dev.vedette.sensor\" or anchor apple generic) and ! (identifier \"dev.vedette.sensor\" \
                and certificate leaf[subject.OU] = \"a\\\"b\\\\\")";
    assert_eq!(nested.to_string(), text);
}
