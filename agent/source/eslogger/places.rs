//! Reads a message from the marks of its line, as [`scan`](super::super::scan) has found them.
//!
//! What is not as it should be is left to serde, which says what is wrong with it. It is not as strict: what is `null`, or
//! an object without anything that is read where one should be, is as if it were not there.

use std::borrow::Cow;

use crate::observation::{Exec, Form, Image, ImageId, Message, MessageEvent, Place, Spot, Token};
use crate::source::scan::Paths;
use crate::timestamp::Day;

/// What a message's values are called: numbers of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) struct Slot(u16);

/// Where the values of messages that are alike stand.
#[derive(Clone, Debug)]
pub(in crate::source) struct Slots {
    /// For each slot one more than its spot's number, else 0.
    numbers: Box<[u16]>,
    spots: Box<[Spot]>,
}

const TOP: &[&str] = &[
    "time",
    "version",
    "event_type",
    "seq_num",
    "global_seq_num",
    // Jamf shortens the name.
    "glob_seq_num",
    "mach_time",
    "event.exec.args",
    "event.exec.env",
    "event.exec.cwd.path",
    "event.exec.script.path",
    "event.exec.dyld_exec_path",
    "event.exec.image_cputype",
    "event.exit.stat",
];
const TIME: usize = 0;
const VERSION: usize = 1;
const EVENT_TYPE: usize = 2;
const SEQ_NUM: usize = 3;
const GLOBAL_SEQ_NUM: usize = 4;
const GLOB_SEQ_NUM: usize = 5;
const MACH_TIME: usize = 6;
const ARGS: usize = 7;
const ENV: usize = 8;
const CWD: usize = 9;
const SCRIPT: usize = 10;
const DYLD_EXEC_PATH: usize = 11;
const CPU_TYPE: usize = 12;
const STAT: usize = 13;
/// The key under `event`, which is the kind of event.
const KIND: usize = 14;
/// What must be an object or an array, if it is anything.
const WRONG: usize = 15;
/// Where the slots of images begin.
const IMAGES: usize = 16;

/// Where messages have images.
const IMAGE_PATHS: [&str; 3] = ["process", "event.exec.target", "event.fork.child"];
const PROCESS: usize = 0;
const TARGET: usize = 1;
const CHILD: usize = 2;

/// What an image has; tokens come first, each as an array and then as the members of an object.
const IMAGE: &[&str] = &[
    "executable.path",
    "executable.path_truncated",
    "tty.path",
    "start_time",
    "ppid",
    "original_ppid",
    "group_id",
    "session_id",
    "codesigning_flags",
    "is_platform_binary",
    "is_es_client",
    "cdhash",
    "signing_id",
    "team_id",
    "cs_validation_category",
];
const TOKENS: [&str; 3] = ["audit_token", "parent_audit_token", "responsible_audit_token"];
/// In the kernel's order, that of `audit_token_t.val`.
const MEMBERS: [&str; 8] = ["auid", "euid", "egid", "ruid", "rgid", "pid", "asid", "pidversion"];
const PID: usize = 5;
const PIDVERSION: usize = 7;
const TOKEN_SLOTS: usize = 1 + MEMBERS.len();
const IMAGE_SLOTS: usize = TOKENS.len() * TOKEN_SLOTS + IMAGE.len();

/// What must not be a single value.
const OBJECTS: &[&str] =
    &["process", "event", "event.exec", "event.fork", "event.exit", "event.exec.cwd", "event.exec.script"];
const IMAGE_OBJECTS: &[&str] = &["", ".executable", ".tty"];

/// Names the paths of a message's values in `paths`, and tells `note` which slot each node has. Environment variables
/// are wanted only if `environment` is set.
pub(in crate::source) fn want(paths: &mut Paths, environment: bool, mut note: impl FnMut(u32, Slot)) {
    let slot = |slot: usize| Slot(slot as u16);
    let mut values: Vec<(String, usize)> =
        TOP.iter().zip(0..).map(|(path, at)| ((*path).into(), at)).collect();
    values.retain(|(_, slot)| *slot != ENV || environment);
    for path in OBJECTS {
        note(paths.want(path), slot(WRONG));
    }
    for (number, image) in IMAGE_PATHS.iter().enumerate() {
        let first = IMAGES + number * IMAGE_SLOTS;
        for (token, name) in TOKENS.iter().enumerate() {
            let first = first + token * TOKEN_SLOTS;
            note(paths.want(&format!("{image}.{name}")), slot(first));
            let members = MEMBERS.iter().zip(first + 1..);
            values.extend(members.map(|(member, at)| (format!("{image}.{name}.{member}"), at)));
        }
        let first = first + TOKENS.len() * TOKEN_SLOTS;
        values.extend(IMAGE.iter().zip(first..).map(|(name, at)| (format!("{image}.{name}"), at)));
        for object in IMAGE_OBJECTS {
            note(paths.want(&format!("{image}{object}")), slot(WRONG));
        }
    }
    for (path, at) in values {
        note(paths.want(&path), slot(at));
        note(paths.want_object(&path), slot(WRONG));
    }
    note(paths.want_first_key("event"), Slot(KIND as u16));
}

/// Returns where the values of a message stand, by the slots that they are of; `None` where this is no message, or one for
/// serde.
pub(in crate::source) fn slots(values: impl Iterator<Item = (Option<Slot>, Spot)>) -> Option<Slots> {
    let mut numbers = vec![0; IMAGES + IMAGE_PATHS.len() * IMAGE_SLOTS];
    let mut spots = Vec::new();
    for (slot, spot) in values {
        let Some(Slot(slot)) = slot else { continue };
        spots.push(spot);
        let own = &mut numbers[usize::from(slot)];
        if usize::from(slot) == WRONG || *own != 0 {
            return None;
        }
        *own = u16::try_from(spots.len()).ok()?;
    }
    (numbers[TIME] != 0 && numbers[KIND] != 0).then(|| Slots { numbers: numbers.into(), spots: spots.into() })
}

/// Returns whether a slot is of a key that no ECS document has.
pub(in crate::source) fn is_telling(slot: Slot) -> bool {
    matches!(usize::from(slot.0), EVENT_TYPE | MACH_TIME)
}

/// What of a message is no text. It borrows nothing, so that one thread may read it for another.
#[derive(Debug)]
pub(in crate::source) struct Numbers {
    time: i64,
    version: u32,
    event_type: u32,
    seq_num: Option<u64>,
    global_seq_num: Option<u64>,
    process: Image<'static>,
    event: EventNumbers,
}

/// What of an event is no text; the texts of images are empty.
#[derive(Debug)]
enum EventNumbers {
    Exec { target: Image<'static>, cpu_type: Option<i32> },
    Fork { child: Image<'static> },
    Exit { status: i32 },
    Other,
}

/// Reads a message; `None` where serde has to say what is wrong with it.
pub(in crate::source) fn read<'a>(
    line: &'a str,
    marks: &[u32],
    slots: &Slots,
    day: &mut Day,
) -> Option<Message<'a>> {
    message(line, marks, slots, &numbers(line, marks, slots, day)?)
}

/// Reads what of a message is no text; `None` where serde has to say what is wrong with it.
pub(in crate::source) fn numbers(line: &str, marks: &[u32], slots: &Slots, day: &mut Day) -> Option<Numbers> {
    let read = Read { line, marks, slots };
    let event = match &*read.text(KIND)?? {
        "exec" => EventNumbers::Exec { target: read.bare(TARGET, day)?, cpu_type: read.number(CPU_TYPE)? },
        "fork" => EventNumbers::Fork { child: read.bare(CHILD, day)? },
        "exit" => EventNumbers::Exit { status: read.number(STAT)?? },
        _ if read.has_image(TARGET) || read.has_image(CHILD) => return None,
        _ => EventNumbers::Other,
    };
    let (global, shortened) = (read.number(GLOBAL_SEQ_NUM)?, read.number(GLOB_SEQ_NUM)?);
    if global.is_some() && shortened.is_some() {
        return None;
    }
    Some(Numbers {
        time: read.time(TIME, day)??,
        version: read.number(VERSION)?.unwrap_or_default(),
        event_type: read.number(EVENT_TYPE)?.unwrap_or_default(),
        seq_num: read.number(SEQ_NUM)?,
        global_seq_num: global.or(shortened),
        process: read.bare(PROCESS, day)?,
        event,
    })
}

/// Reads a message of which the numbers were read; `None` where serde has to say what is wrong with it.
pub(in crate::source) fn message<'a>(
    line: &'a str,
    marks: &[u32],
    slots: &Slots,
    numbers: &Numbers,
) -> Option<Message<'a>> {
    let read = Read { line, marks, slots };
    let event = match &numbers.event {
        EventNumbers::Exec { target, cpu_type } => MessageEvent::Exec(Box::new(Exec {
            target: read.image(TARGET, target)?,
            args: read.texts(ARGS)?,
            env: read.texts(ENV)?,
            cwd: read.text(CWD)?,
            script: read.text(SCRIPT)?,
            dyld_exec_path: read.text(DYLD_EXEC_PATH)?,
            cpu_type: *cpu_type,
        })),
        EventNumbers::Fork { child } => MessageEvent::Fork { child: read.image(CHILD, child)? },
        EventNumbers::Exit { status } => MessageEvent::Exit { status: *status },
        EventNumbers::Other => MessageEvent::Other(read.text(KIND)??),
    };
    Some(Message {
        time: numbers.time,
        tick: None,
        version: numbers.version,
        event_type: numbers.event_type,
        seq_num: numbers.seq_num,
        global_seq_num: numbers.global_seq_num,
        process: read.image(PROCESS, &numbers.process)?,
        event,
    })
}

/// A message's line and marks. What is read is `None` where it is not as it should be, and in that `None` where there is nothing.
struct Read<'a, 's> {
    line: &'a str,
    marks: &'s [u32],
    slots: &'s Slots,
}

impl<'a> Read<'a, '_> {
    /// An image without its texts.
    fn bare(&self, number: usize, day: &mut Day) -> Option<Image<'static>> {
        let tokens = IMAGES + number * IMAGE_SLOTS;
        let other = |number: usize| self.image_id(tokens + number * TOKEN_SLOTS);
        let first = tokens + TOKENS.len() * TOKEN_SLOTS;
        // In the order of `IMAGE`.
        Some(Image {
            token: self.token(tokens)??,
            parent: other(1)?,
            responsible: other(2)?,
            executable_truncated: self.boolean(first + 1)?,
            start: self.time(first + 3, day)?,
            ppid: self.pid(first + 4)?,
            original_ppid: self.pid(first + 5)?,
            group_id: self.pid(first + 6)?,
            session_id: self.pid(first + 7)?,
            codesigning_flags: self.number(first + 8)?.unwrap_or_default(),
            is_platform_binary: self.boolean(first + 9)?,
            is_es_client: self.boolean(first + 10)?,
            cs_validation_category: self.number(first + 14)?,
            ..Image::default()
        })
    }

    fn image(&self, number: usize, bare: &Image<'static>) -> Option<Image<'a>> {
        let first = IMAGES + number * IMAGE_SLOTS + TOKENS.len() * TOKEN_SLOTS;
        Some(Image {
            executable: self.text(first)??,
            tty: self.text(first + 2)?,
            cdhash: self.present(first + 11)?,
            signing_id: self.present(first + 12)?,
            team_id: self.present(first + 13)?,
            ..*bare
        })
    }

    /// Whether there is anything of an image.
    fn has_image(&self, number: usize) -> bool {
        let first = IMAGES + number * IMAGE_SLOTS;
        self.slots.numbers[first..first + IMAGE_SLOTS].iter().any(|slot| *slot != 0)
    }

    fn token(&self, first: usize) -> Option<Option<Token>> {
        let mut values = [0; MEMBERS.len()];
        match self.place(first) {
            Some(list) => {
                let mut elements = list.elements(self.line);
                for value in &mut values {
                    *value = elements.next()?.text(self.line).parse().ok()?;
                }
                if elements.next().is_some() || list.form != Form::List {
                    return None;
                }
            }
            None if self.slots.numbers[first + 1..first + TOKEN_SLOTS].iter().all(|slot| *slot == 0) => {
                return Some(None);
            }
            None => {
                for (at, value) in values.iter_mut().enumerate() {
                    *value = self.number(first + 1 + at)??;
                }
            }
        }
        let [auid, euid, egid, ruid, rgid, pid, asid, pidversion] = values;
        Some(Some(Token { auid, euid, egid, ruid, rgid, pid, asid, pidversion }))
    }

    /// The image that a token names: of its other members nothing is read but whether they are right.
    fn image_id(&self, first: usize) -> Option<Option<ImageId>> {
        let members = first + 1..first + TOKEN_SLOTS;
        if self.slots.numbers[first] != 0 || self.slots.numbers[members.clone()].iter().all(|slot| *slot == 0)
        {
            return Some(self.token(first)?.map(|token| token.image()));
        }
        members.clone().all(|slot| self.is_u32(slot)).then_some(())?;
        let (pid, pidversion) = (self.number(first + 1 + PID)??, self.number(first + 1 + PIDVERSION)??);
        Some(Some(ImageId { pid, pidversion }))
    }

    fn is_u32(&self, slot: usize) -> bool {
        let Some(place) = self.place(slot) else { return false };
        let is_short = place.end - place.start < 10 && self.line.as_bytes()[place.start as usize] != b'-';
        place.form == Form::Integer && (is_short || u32::try_from(place.integer(self.line)).is_ok())
    }

    fn place(&self, slot: usize) -> Option<Place> {
        Some(self.spot(slot)?.place(self.marks))
    }

    fn spot(&self, slot: usize) -> Option<&Spot> {
        self.slots.spots.get(usize::from(self.slots.numbers[slot].checked_sub(1)?))
    }

    fn text(&self, slot: usize) -> Option<Option<Cow<'a, str>>> {
        self.place(slot).map(|place| self.text_at(&place)).map_or(Some(None), |text| text.map(Some))
    }

    fn text_at(&self, place: &Place) -> Option<Cow<'a, str>> {
        match place.form {
            Form::Text => Some(Cow::Borrowed(place.text(self.line))),
            Form::Escaped => place.unescaped(self.line).map(Cow::Owned),
            _ => None,
        }
    }

    /// Text; empty counts as absent, as Endpoint Security has no other way to say it.
    fn present(&self, slot: usize) -> Option<Option<Cow<'a, str>>> {
        Some(self.text(slot)?.filter(|text| !text.is_empty()))
    }

    fn texts(&self, slot: usize) -> Option<Vec<Cow<'a, str>>> {
        match self.place(slot) {
            None => Some(Vec::new()),
            Some(list) => match list.form {
                Form::List | Form::DoubtfulList => {
                    // More than most have; to grow from nothing costs more than they take.
                    let mut texts = Vec::with_capacity(16);
                    for element in list.elements(self.line) {
                        texts.push(self.text_at(&element)?);
                    }
                    Some(texts)
                }
                // The place of one value, without the brackets, which must be there.
                _ => {
                    let before = self.line.get(..(list.start as usize).checked_sub(1)?)?;
                    let is_array = before.trim_ascii_end().ends_with('[');
                    is_array.then(|| self.text_at(&list).map(|text| vec![text]))?
                }
            },
        }
    }

    fn number<T: TryFrom<i64>>(&self, slot: usize) -> Option<Option<T>> {
        let Some(place) = self.place(slot) else { return Some(None) };
        if place.form != Form::Integer {
            return None;
        }
        T::try_from(place.integer(self.line)).ok().map(Some)
    }

    /// A process id that is context only: a number that cannot be one counts as absent.
    fn pid(&self, slot: usize) -> Option<Option<u32>> {
        Some(self.number::<i64>(slot)?.and_then(|number| u32::try_from(number).ok()))
    }

    fn boolean(&self, slot: usize) -> Option<bool> {
        match self.spot(slot).map(|spot| spot.form) {
            None => Some(false),
            Some(Form::Boolean(value)) => Some(value),
            Some(_) => None,
        }
    }

    fn time(&self, slot: usize, day: &mut Day) -> Option<Option<i64>> {
        match self.text(slot)? {
            None => Some(None),
            Some(text) => day.parse(&text).ok().map(Some),
        }
    }
}
