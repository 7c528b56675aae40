//! By which steps a line was passed over, and what these say of all lines of the same steps.

use super::Paths;
use super::skeleton::{COMMA, Inner, NOT_WANTED, Next, Then};
use super::text::{self, Text};
use crate::observation::{Form, Offset, Spot};

/// A stretch of a line, and the value behind it.
///
/// Where the stretch begins is a mark of the line. With the stretches of all lines of the same steps, it says where every
/// wanted value stands, but for further texts of an array, which are passed over along with the second.
#[derive(Clone, Copy, Debug)]
pub(in crate::source) struct Step {
    /// The number of the stretch; above it how the value is written, if it is wanted and not written as most are.
    kind: u32,
    at: u32,
}

/// Where in a step's kind the form of its value stands.
const FORM: u32 = 16;

/// Set in the kind of a step that is one of the further texts of the stretch's array.
const FURTHER: u32 = 1 << 31;

/// The forms that values have beside the usual, by their number in a step's kind; that of the usual is 0.
const FORMS: [Option<Form>; 5] =
    [None, Some(Form::Escaped), Some(Form::Number), Some(Form::Boolean(false)), Some(Form::Boolean(true))];

impl Step {
    pub(super) fn new(stretch: u32, at: usize) -> Self {
        Step { kind: stretch, at: at as u32 }
    }

    /// Notes how the value is written; `None` is `null`.
    pub(super) fn set_form(&mut self, form: Option<Form>) {
        let number = (1..).zip(FORMS).find(|(_, own)| *own == form).map_or(0, |(number, _)| number);
        self.kind |= number << FORM;
    }

    /// Returns what is the same in lines of the same steps.
    #[inline]
    pub(in crate::source) fn kind(&self) -> u32 {
        self.kind
    }

    /// Returns the mark.
    #[inline]
    pub(in crate::source) fn mark(&self) -> u32 {
        self.at
    }

    fn stretch(&self) -> u32 {
        self.kind & ((1 << FORM) - 1)
    }

    fn is_further(&self) -> bool {
        self.kind & FURTHER != 0
    }

    /// Returns how the value behind the stretch is written; nothing of `null`, and of what is no value.
    fn form(&self, next: Next) -> Option<Form> {
        match (((self.kind & !FURTHER) >> FORM) as usize).checked_sub(1) {
            Some(number) => FORMS.get(number).copied().flatten(),
            None => match next {
                Next::Text => Some(Form::Text),
                Next::Bare => Some(Form::Integer),
                Next::End => None,
            },
        }
    }
}

/// Wanted values in the order in which they stand, while they are gathered.
#[derive(Default)]
struct Gathered {
    values: Vec<Wanted>,
    lists: Vec<OpenList>,
}

#[derive(Clone, Copy)]
enum Wanted {
    /// A value and its node.
    Value(u32, Spot),
    /// Any number of further texts, in some lines none.
    Texts,
}

/// An array that is open and whose values are wanted.
#[derive(Clone, Copy)]
struct OpenList {
    start: Offset,
    /// How many values there were before.
    first: usize,
    is_mixed: bool,
}

impl Paths {
    /// Returns where the wanted values stand in all lines of these steps, with the nodes of their paths; `None` where that
    /// is not the same in all of them.
    pub(in crate::source) fn spots(&self, steps: &[Step]) -> Option<Vec<(u32, Spot)>> {
        self.gather(steps, true)
    }

    /// Returns the same of one line, whose steps these are [all](Self::all_steps).
    pub(in crate::source) fn own_spots(&self, all: &[Step]) -> Option<Vec<(u32, Spot)>> {
        self.gather(all, false)
    }

    /// Returns the steps of a line with one for each text that was passed over along with another.
    pub(in crate::source) fn all_steps(&self, line: &str, steps: &[Step]) -> Vec<Step> {
        let mut all = Vec::with_capacity(steps.len());
        for (at, step) in steps.iter().enumerate() {
            all.push(*step);
            if self.skeletons.stretch(step.stretch()).then == Then::Texts
                && let Some(next) = steps.get(at + 1)
            {
                self.add_texts(line.as_bytes(), *step, next.at as usize, &mut all);
            }
        }
        all
    }

    /// Adds a step for each of the further texts that were passed over along with that of `step`, up to `end`.
    fn add_texts(&self, bytes: &[u8], step: Step, end: usize, all: &mut Vec<Step>) {
        let mut text = Text::new(bytes);
        let start = step.at as usize + self.skeletons.stretch(step.stretch()).length as usize;
        let Some((_, mut at)) = text.value(start, true) else { return };
        while at < end
            && let Some((_, behind)) = text::further(bytes, at)
        {
            all.push(Step { kind: step.stretch() | FURTHER, at: at as u32 });
            at = behind;
        }
    }

    /// Returns the wanted values of lines of these steps, unless there are too many steps. Where they `may_hide` further
    /// texts, that must make no difference.
    fn gather(&self, steps: &[Step], may_hide: bool) -> Option<Vec<(u32, Spot)>> {
        let mut gathered = Gathered::default();
        // One mark more is the end of the last value.
        let last = u16::try_from(steps.len()).ok()?;
        for (mark, step) in (0..last).zip(steps) {
            let stretch = self.skeletons.stretch(step.stretch());
            let length = match step.is_further() {
                true => COMMA.len() as i16,
                false => stretch.length as i16,
            };
            if !step.is_further() {
                stretch.inner.iter().for_each(|inner| gathered.inner(mark, inner));
            }
            if stretch.wanted == NOT_WANTED {
                continue;
            }
            if let Some(form) = step.form(stretch.next) {
                let quote = i16::from(stretch.next == Next::Text);
                let (start, end) = (Offset { mark, by: length }, Offset { mark: mark + 1, by: -quote });
                gathered.values.push(Wanted::Value(stretch.wanted, Spot { start, end, form }));
            }
            if may_hide && stretch.then == Then::Texts {
                gathered.values.push(Wanted::Texts);
            }
        }
        let value = |wanted: Wanted| match wanted {
            Wanted::Value(node, spot) => Some((node, spot)),
            Wanted::Texts => None,
        };
        gathered.values.into_iter().map(value).collect()
    }
}

impl Gathered {
    /// Takes what is wanted of the stretch of a mark itself.
    fn inner(&mut self, mark: u16, inner: &Inner) {
        match *inner {
            Inner::Value { node, start, end, form } => {
                let [start, end] = [start, end].map(|by| Offset { mark, by });
                self.values.push(Wanted::Value(node, Spot { start, end, form }));
            }
            Inner::Opens(by) => {
                let (start, first) = (Offset { mark, by }, self.values.len());
                self.lists.push(OpenList { start, first, is_mixed: false });
            }
            Inner::Mixed => self.lists.iter_mut().for_each(|list| list.is_mixed = true),
            Inner::Closes(by, node) => {
                if let Some(list) = self.lists.pop().filter(|list| !list.is_mixed) {
                    self.close(list, node, Offset { mark, by });
                }
            }
        }
    }

    /// Makes one value of those of a list, if there are several.
    fn close(&mut self, list: OpenList, node: u32, end: Offset) {
        let form = |wanted: &Wanted| match wanted {
            Wanted::Value(_, spot) => Some(spot.form),
            Wanted::Texts => None,
        };
        let forms = self.values[list.first..].iter().filter_map(form);
        // With further texts there may be several where one is seen, if `null` comes first.
        if forms.clone().count() < 2 {
            return;
        }
        let is_plain = |form: Form| !matches!(form, Form::Escaped | Form::Number | Form::DoubtfulList);
        let form = if forms.clone().all(is_plain) { Form::List } else { Form::DoubtfulList };
        self.values.truncate(list.first);
        self.values.push(Wanted::Value(node, Spot { start: list.start, end, form }));
    }
}
