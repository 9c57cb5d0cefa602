//! VNN-LIB files as questions.

use smallbox::certify::query::{Question, questions};
use smallbox::formats::vnnlib::{self, Query};

const TWO: &str =
    "(declare-const X_0 Real)\n(declare-const X_1 Real)\n(declare-const Y_0 Real)\n(declare-const Y_1 Real)\n";

fn asked(assertions: &str) -> Vec<Question> {
    let query = Query::parse(&format!("{TWO}{assertions}")).unwrap_or_else(|e| panic!("{assertions}: {e}"));
    questions(&query, 2, 2).unwrap_or_else(|e| panic!("{assertions}: {e}"))
}

const BOX: &str =
    "(assert (and (<= X_0 0.5) (>= X_0 -0.5)))\n(assert (<= X_1 1)) (assert (<= -1.0 X_1)) ; a comment (\n";

#[test]
fn what_is_written_is_read() {
    let property = vnnlib::Property {
        comments: vec!["(assert nothing".into()],
        lower: vec![0.0, 0.1],
        upper: vec![0.25, 0.7],
        classes: 3,
        label: 1,
    };
    let query = Query::parse(&property.text()).unwrap();
    assert_eq!((query.inputs, query.outputs, query.cases.len()), (2, 3, 2));
    let [question] = &questions(&query, 2, 3).unwrap()[..] else { panic!("one box") };
    let ends = |ends: &[f32]| ends.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
    assert_eq!((&question.nearest.lower, &question.nearest.upper), (&ends(&property.lower), &ends(&property.upper)));
    // 0.1 as an f32 has 27 digits, of which the shortest text has 17: what is between counts as inside.
    assert_eq!((question.claim.lower[0], question.claim.upper[0]), (0.0, 0.25));
    assert_eq!(question.claim.lower[1], f64::from(0.1f32).next_down());
    assert_eq!(question.claim.upper[1], f64::from(0.7f32).next_up());
    let clauses: Vec<(&[f64], f64)> =
        question.claim.clauses.iter().map(|c| (&c[0].coefficients[..], c[0].bound)).collect();
    // Y_k ≥ Y_1, that is Y_1 − Y_k ≤ 0.
    assert_eq!(clauses, [(&[-1.0, 1.0, 0.0][..], 0.0), (&[0.0, 1.0, -1.0][..], 0.0)]);
}

#[test]
fn inequalities_mean_what_they_say() {
    for (text, coefficients, bound) in [
        ("(<= Y_0 Y_1)", [1.0, -1.0], 0.0),
        ("(>= Y_0 Y_1)", [-1.0, 1.0], 0.0),
        ("(<= Y_0 3)", [1.0, 0.0], 3.0),
        ("(>= Y_0 3)", [-1.0, 0.0], -3.0),
        ("(<= 3 Y_0)", [-1.0, 0.0], -3.0),
        ("(>= (- 0.5) Y_1)", [0.0, 1.0], -0.5),
        ("(<= (+ Y_0 (* 2.0 Y_1)) -4.0)", [1.0, 2.0], -4.0),
        ("(<= (- Y_0 Y_1) 1)", [1.0, -1.0], 1.0),
        ("(>= (* Y_1 -0.25) (+ 1 Y_0))", [1.0, 0.25], -1.0),
    ] {
        let all = asked(&format!("{BOX}(assert {text})"));
        let constraint = &all[0].claim.clauses[0][0];
        assert_eq!((&constraint.coefficients[..], constraint.bound), (&coefficients[..], bound), "{text}");
    }
    let [question] = &asked(&format!("{BOX}(assert (or (and (<= Y_0 0) (>= Y_1 1)) (<= Y_1 Y_0)))"))[..] else {
        panic!("one box")
    };
    assert_eq!(question.claim.clauses.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    assert_eq!((&question.claim.lower[..], &question.claim.upper[..]), (&[-0.5, -1.0][..], &[0.5, 1.0][..]));
    // Decimals that f64 does not have are rounded outward.
    let inexact = asked("(assert (and (>= X_0 0.1) (<= X_0 0.3) (>= X_1 0) (<= X_1 0) (<= Y_0 0.7)))").remove(0);
    assert_eq!((inexact.claim.lower[0], inexact.claim.upper[0]), (0.1f64.next_down(), 0.3f64.next_up()));
    assert_eq!((inexact.claim.lower[1], inexact.claim.upper[1]), (0.0, 0.0));
    assert_eq!((inexact.claim.clauses[0][0].bound, inexact.nearest.clauses[0][0].bound), (0.7f64.next_up(), 0.7));
    // The tighter of two bounds holds, and bounds that exclude each other leave no case.
    let twice = asked(&format!("{BOX}(assert (<= X_0 0.25)) (assert (<= X_0 0.375)) (assert (<= Y_0 0))"));
    assert_eq!(twice[0].claim.upper[0], 0.25);
    assert!(asked(&format!("{BOX}(assert (>= X_0 0.75)) (assert (<= Y_0 0))")).is_empty());
}

#[test]
fn several_boxes_are_several_questions() {
    let text = "(assert (or
        (and (>= X_0 0) (<= X_0 1) (>= X_1 0) (<= X_1 1) (<= Y_0 0))
        (and (>= X_0 2) (<= X_0 3) (>= X_1 0) (<= X_1 1) (<= Y_0 0))
        (and (>= X_0 0) (<= X_0 1) (>= X_1 0) (<= X_1 1) (<= Y_1 0))))";
    let all = asked(text);
    assert_eq!(all.iter().map(|q| (q.claim.lower[0], q.claim.clauses.len())).collect::<Vec<_>>(), [(0.0, 2), (2.0, 1)]);
    // Disjunctions multiply.
    let all = asked(&format!("{BOX}(assert (or (<= Y_0 0) (<= Y_1 0))) (assert (or (>= Y_0 5) (>= Y_1 5)))"));
    assert_eq!(all[0].claim.clauses.len(), 4);
}

#[test]
fn what_is_no_property_is_one_line() {
    for (assertions, parts) in [
        ("(assert (<= X_0 1)", &["line 5", "never closed"][..]),
        ("(assert (<= X_0 1)))", &["line 5", "not opened"]),
        ("\n(assert (< X_0 1))", &["line 6", "<="]),
        ("(assert (<= X_0 one))", &["one", "expected a number"]),
        ("(assert (<= X_2 1))", &["X_2", "not declared"]),
        ("(assert (<= X_0 Y_0))", &["bound of one input"]),
        ("(assert (<= (* X_0 X_1) 1))", &["a number times"]),
        ("(assert (<= (+ Y_0 Y_0) 1))", &["twice"]),
        // Refused, not guessed at.
        ("(assert (<= (- Y_0 Y_1 1) 0))", &["both sides"]),
        ("(assert (not (<= X_0 1)))", &["(not"]),
        ("(declare-const Z_0 Real)", &["Z_0"]),
        ("(declare-const X_3 Real)", &["X_0 to X_n"]),
        ("(declare-const X_0 Real)", &["X_0 to X_n", "once"]),
        ("(declare-const X_2 Int)", &["declare-const NAME Real"]),
        ("word", &["outside of brackets"]),
        ("(assert (<= X_0 1e999))", &["1e999"]),
    ] {
        let message = Query::parse(&format!("{TWO}{assertions}")).expect_err(assertions);
        assert!(parts.iter().all(|part| message.contains(part)) && !message.contains('\n'), "{assertions}: {message}");
    }
    let deep = format!("{TWO}{}", "(".repeat(100_000));
    assert!(Query::parse(&deep).unwrap_err().contains("deeper"));
    let many = "(assert (or (<= Y_0 0) (<= Y_1 0)))".repeat(40);
    assert!(Query::parse(&format!("{TWO}{many}")).unwrap_err().contains("more than are taken"));
    let half = Query::parse(&format!("{TWO}(assert (<= X_0 1)) (assert (>= X_0 0)) (assert (<= X_1 1))")).unwrap();
    let message = questions(&half, 2, 2).unwrap_err().to_string();
    assert!(message.contains("X_1 has no lower bound"), "{message}");
    let message = questions(&half, 3, 2).unwrap_err().to_string();
    assert!(message.contains("2 inputs and 2 outputs, the network 3 and 2"), "{message}");
}
