//! libm, as far as it is imported.

use crate::symbols::exports;

exports! {
    "fmod" => fmod,
}

extern "C" fn fmod(dividend: f64, divisor: f64) -> f64 {
    dividend % divisor
}
