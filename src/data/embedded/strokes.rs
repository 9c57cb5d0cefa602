//! How the ten digits are written: pen strokes as control points.
//!
//! Coordinates: x to the right, y down, a digit fills about 20..80 × 8..94 of a 100 × 100 square. The curve runs
//! smoothly through the points of a stroke ([`Pen::Smooth`]) and turns sharply at a [`Pen::Corner`].

/// A control point of a stroke.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pen {
    /// The curve passes through without a kink.
    Smooth(f32, f32),
    /// The curve ends here and the next one begins, with a direction of its own.
    Corner(f32, f32),
}

/// One way of writing a digit: the strokes, each drawn without lifting the pen.
pub(super) type Glyph = &'static [&'static [Pen]];

const fn s(x: u8, y: u8) -> Pen {
    Pen::Smooth(x as f32, y as f32)
}

const fn c(x: u8, y: u8) -> Pen {
    Pen::Corner(x as f32, y as f32)
}

/// The ways of writing each digit; index = class. All ways of one digit are equally frequent.
pub(super) const DIGITS: [&[Glyph]; 10] = [
    // 0: a round one and a slim one.
    &[
        &[&[
            s(57, 9),
            s(40, 11),
            s(25, 32),
            s(23, 60),
            s(36, 86),
            s(53, 92),
            s(70, 81),
            s(78, 55),
            s(73, 27),
            s(60, 10),
            s(48, 10),
        ]],
        &[&[s(52, 8), s(37, 23), s(31, 50), s(37, 78), s(50, 92), s(63, 78), s(69, 50), s(63, 22), s(51, 8)]],
    ],
    // 1: a bare stroke, one with a flag, one with a flag and a foot.
    &[
        &[&[s(53, 8), s(50, 50), s(48, 93)]],
        &[&[c(33, 27), c(54, 8), c(53, 93)]],
        &[&[c(34, 26), c(52, 8), c(52, 92)], &[c(32, 92), c(72, 91)]],
    ],
    // 2: with a sharp foot, with a looped foot.
    &[
        &[&[s(24, 28), s(35, 12), s(55, 8), s(72, 21), s(68, 43), s(47, 67), c(21, 91), s(50, 90), c(80, 91)]],
        &[&[
            s(26, 25),
            s(43, 8),
            s(65, 13),
            s(70, 33),
            s(57, 60),
            s(37, 84),
            s(24, 90),
            s(22, 79),
            s(36, 75),
            s(56, 87),
            s(80, 88),
        ]],
    ],
    // 3: round, flat-topped.
    &[
        &[&[
            s(25, 18),
            s(44, 8),
            s(66, 15),
            s(68, 33),
            c(43, 47),
            s(66, 54),
            s(75, 71),
            s(63, 88),
            s(42, 93),
            s(22, 82),
        ]],
        &[&[c(26, 11), c(72, 10), c(46, 42), s(66, 50), s(75, 68), s(62, 88), s(40, 92), s(22, 82)]],
    ],
    // 4: open, closed.
    &[
        &[&[s(31, 10), s(28, 34), c(24, 56), c(80, 55)], &[c(68, 9), s(65, 50), c(63, 94)]],
        &[&[c(63, 94), c(63, 8), c(20, 64), c(82, 64)]],
    ],
    // 5: in one stroke, with the top bar set apart.
    &[
        &[&[c(73, 10), c(35, 11), c(31, 45), s(53, 40), s(72, 54), s(72, 76), s(52, 92), s(24, 86)]],
        &[&[c(36, 12), c(31, 47), s(56, 42), s(74, 60), s(66, 84), s(44, 93), s(24, 83)], &[c(36, 11), c(75, 9)]],
    ],
    // 6: curved back, straight back.
    &[
        &[&[
            s(66, 9),
            s(44, 23),
            s(29, 50),
            s(28, 77),
            s(46, 93),
            s(66, 86),
            s(72, 69),
            s(59, 54),
            s(41, 58),
            s(29, 72),
        ]],
        &[&[s(57, 7), s(38, 36), s(28, 66), s(38, 89), s(59, 91), s(72, 75), s(62, 58), s(44, 59), s(30, 73)]],
    ],
    // 7: plain, with a bar, with a hook.
    &[
        &[&[c(22, 12), c(76, 12), s(58, 48), c(44, 93)]],
        &[&[c(22, 12), c(76, 11), s(58, 48), c(46, 93)], &[c(38, 51), c(73, 49)]],
        &[&[c(23, 25), c(24, 11), c(77, 11), s(57, 46), c(49, 93)]],
    ],
    // 8: one crossing stroke, two loops.
    &[
        &[&[
            s(67, 19),
            s(49, 8),
            s(33, 19),
            s(38, 37),
            s(58, 53),
            s(70, 72),
            s(56, 91),
            s(36, 89),
            s(28, 73),
            s(42, 53),
            s(62, 37),
            s(68, 20),
        ]],
        &[
            &[s(51, 8), s(36, 14), s(32, 29), s(42, 44), s(55, 45), s(66, 36), s(67, 22), s(60, 10), s(48, 8)],
            &[s(50, 46), s(33, 55), s(26, 73), s(37, 89), s(54, 93), s(72, 81), s(72, 62), s(58, 47), s(47, 46)],
        ],
    ],
    // 9: straight stem, curled stem.
    &[
        &[&[
            s(70, 21),
            s(55, 8),
            s(36, 14),
            s(28, 32),
            s(38, 48),
            s(57, 46),
            s(69, 30),
            c(72, 14),
            s(69, 52),
            s(62, 94),
        ]],
        &[&[
            s(70, 20),
            s(53, 8),
            s(34, 16),
            s(29, 36),
            s(44, 49),
            s(62, 41),
            c(71, 20),
            s(72, 51),
            s(64, 83),
            s(46, 93),
            s(28, 86),
        ]],
    ],
];
