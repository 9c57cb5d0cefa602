//! The outcome in words, tables and rows.

use super::{Chosen, Exact, Model, Study};
use crate::analyze::document::{Document, Sheet, Table};
use crate::figure::number;
use crate::numbers::count;

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn place((x, y): (f64, f64)) -> String {
    format!("({}, {})", number(x), number(y))
}

impl Exact {
    /// The outcome as a document.
    pub fn document(&self) -> Document {
        let data = serde_json::to_value(self).expect("plain numbers are JSON");
        let mut document = Document::new("exact", "Exact images of a box, layer by layer", data);
        document.explanation = self.explanation();
        document.findings = self.findings();
        document.tables = vec![self.of_point(), self.of_layers(), self.of_points()];
        document.figures = self.figures();
        document
    }

    /// The point in words.
    fn the_point(&self) -> String {
        let index = self.index.map_or("Point".into(), |index| format!("Point {index}"));
        format!("{index} at {}, of class {}", place(self.point), self.label)
    }

    fn explanation(&self) -> Vec<String> {
        let chosen = match self.chosen {
            Chosen::Given => "as was asked for",
            Chosen::Telling => {
                "the first that all networks classify correctly and of whose ε box a tenth or more is adversarial for the first network but nothing for \
                 the last; so it is no usual point, and the last table says what is usual"
            }
            Chosen::Clear => {
                "the first that all networks classify correctly and of whose ε box a tenth or more is adversarial for the first network"
            }
            Chosen::Vulnerable => {
                "the first that all networks classify correctly and that has adversarial examples for the first network"
            }
            Chosen::VulnerableFirst => {
                "the first that the first network classifies correctly and that has adversarial examples for it"
            }
            Chosen::First => {
                "the first one: no point that the first network classifies correctly has adversarial examples for it"
            }
        };
        vec![
            format!(
                "An attacker may move a point by up to ε = {} along each axis: anywhere in its ε box. A point of the box to which the network gives \
                 another class is an adversarial example. With two inputs all of this can be drawn, and with ReLU it can be drawn exactly: the network is one \
                 affine map on each of finitely many polygons, so a box becomes a set of polygons in every layer.",
                number(self.epsilon)
            ),
            "Interval propagation (IBP) carries a box through the layers instead, each time the smallest box around what the last box may become. That is \
             cheap and never too small, but in every layer it adds points that no input leads to. If even this box lies on the right side, the point is certified. \
             Training by IBP pushes the whole box there; what the box has too much costs accuracy."
                .into(),
            format!(
                "SABR (Müller et al. 2023) propagates a smaller box, of λ = {} times the radius, around the point where an attack (PGD) came to, moved into the ε box. \
                 It holds the most dangerous points and grows far less on its way, so training on it asks for less that isn't so; it proves nothing about \
                 the rest of the ε box.",
                number(self.lambda)
            ),
            format!("The pictures follow one point of {}: {}.", self.points_of, chosen),
            "A layer of more than two neurons is shown in two of them: those behind whose ReLU the image of the ε box is widest. Where one of them is off, the \
             image is folded flat onto an axis. The outputs are shown by the margin, the output of the point's class minus that of the other class that comes nearest \
             to it, and their sum; IBP's bounds of both have the last layer merged into them, as those that certify."
                .into(),
        ]
    }

    fn findings(&self) -> Vec<String> {
        let mut findings = vec![format!("{}: ε box {}.", self.the_point(), self.box_text())];
        findings.extend(self.models.iter().map(|model| self.finding(model)));
        if let [model] = &self.models[..] {
            let s = model.survey;
            findings.push(format!(
                "Of {} points of {}, {} are classified correctly, {} are robust, and IBP proves {} of them.",
                count(s.points as u64),
                self.points_of,
                s.natural,
                s.robust,
                s.interval
            ));
        } else {
            let each = |of: &dyn Fn(&Model) -> usize| {
                let texts = self.models.iter().map(|model| {
                    let share = of(model) as f64 / model.survey.points as f64;
                    format!("{} {}", model.model, percent(share))
                });
                texts.collect::<Vec<_>>().join(", ")
            };
            findings.push(format!(
                "Robust of the first {} points of {}: {}; proved by IBP: {}.",
                count(self.models[0].survey.points as u64),
                self.points_of,
                each(&|m| m.survey.robust),
                each(&|m| m.survey.interval)
            ));
        }
        findings
    }

    fn box_text(&self) -> String {
        let ball = &self.models[0].study.ball;
        format!("from {} to {}", place(ball.lower), place(ball.upper))
    }

    /// What holds for one network.
    fn finding(&self, model: &Model) -> String {
        let Study { class, ball, small, attacked_margin, .. } = &model.study;
        let name = &model.model;
        let mut text = if *class != self.label {
            format!(
                "{name} misclassifies the point as {class}; {} of its ε box have another class.",
                percent(ball.adversarial)
            )
        } else if ball.exact_margin > 0.0 {
            format!(
                "{name} has no adversarial example in the ε box: the least margin is {}.",
                number(ball.exact_margin)
            )
        } else {
            format!(
                "{name}: {} of the ε box are adversarial examples; the least margin is {}, PGD came to {}.",
                percent(ball.adversarial),
                number(ball.exact_margin),
                number(*attacked_margin)
            )
        };
        let certifies = if ball.interval_margin > 0.0 { "which certifies it" } else { "which certifies nothing" };
        text += &format!(
            " IBP bounds the margin by {} over the ε box, {certifies}, and by {} over the small box, where the least margin is {}.",
            number(ball.interval_margin),
            number(small.interval_margin),
            number(small.exact_margin)
        );
        text
    }

    /// Numbers of the point that is drawn.
    fn of_point(&self) -> Table {
        let caption = format!("{}: its ε box and SABR's small box", self.the_point());
        let head = [
            "network",
            "class",
            "linear regions",
            "adversarial area",
            "margin",
            "PGD",
            "least",
            "IBP",
            "least, small box",
            "IBP, small box",
        ];
        let mut table = Table::new(&caption, &head);
        for Model { model, study, .. } in &self.models {
            let margins = [
                study.margin,
                study.attacked_margin,
                study.ball.exact_margin,
                study.ball.interval_margin,
                study.small.exact_margin,
                study.small.interval_margin,
            ];
            let mut row = vec![model.clone(), study.class.to_string(), study.ball.regions.to_string()];
            row.push(percent(study.ball.adversarial));
            row.extend(margins.map(|margin| format!("{margin:.3}")));
            table.rows.push(row);
        }
        table
    }

    /// How much wider interval bounds are, layer by layer.
    fn of_layers(&self) -> Table {
        let caption = "How many times wider than the exact image IBP's box is, as mean over a layer's neurons";
        let head = [
            "network",
            "layer",
            "neurons",
            "ε box, exact width",
            "IBP",
            "times",
            "small box, exact width",
            "IBP",
            "times",
        ];
        let mut table = Table::new(caption, &head);
        for Model { model, study, .. } in &self.models {
            for (layer, (ball, small)) in study.ball.layers.iter().zip(&study.small.layers).enumerate() {
                let mut row = vec![model.clone(), self.layer(study, layer), ball.elements.to_string()];
                for of in [ball, small] {
                    row.extend([number(of.exact_width), number(of.interval_width), format!("{:.2}", of.growth())]);
                }
                table.rows.push(row);
            }
        }
        table
    }

    fn layer(&self, study: &Study, layer: usize) -> String {
        if layer + 1 == study.ball.layers.len() { "outputs".into() } else { format!("hidden {}", layer + 1) }
    }

    /// How usual it is.
    fn of_points(&self) -> Table {
        let points = self.models[0].survey.points;
        let caption = format!("The first {} points of {}", count(points as u64), self.points_of);
        let head = ["network", "natural", "PGD withstood", "robust", "IBP, ε box", "IBP, small box"];
        let mut table = Table::new(&caption, &head);
        for Model { model, survey: s, .. } in &self.models {
            let shares = [s.natural, s.withstood, s.robust, s.interval, s.small];
            let shares = shares.map(|count| percent(count as f64 / s.points as f64));
            table.rows.push(std::iter::once(model.clone()).chain(shares).collect());
        }
        table
    }

    /// All numbers as rows.
    pub fn sheet(&self) -> Sheet {
        let mut sheet = Sheet::new(&["model", "box", "quantity", "layer", "value"]);
        for Model { model, survey: s, study } in &self.models {
            let mut row = |of: &str, quantity: &str, layer: &str, value: f64| {
                sheet.rows.push([model, of, quantity, layer, &value.to_string()].map(String::from).to_vec());
            };
            let counts = [
                ("points", s.points),
                ("natural", s.natural),
                ("withstood", s.withstood),
                ("robust", s.robust),
                ("interval", s.interval),
                ("small", s.small),
            ];
            counts.iter().for_each(|&(quantity, count)| row("", quantity, "", count as f64));
            row("", "class", "", study.class as f64);
            row("", "margin", "", study.margin);
            row("", "attacked_x", "", study.attacked.0);
            row("", "attacked_y", "", study.attacked.1);
            row("", "attacked_margin", "", study.attacked_margin);
            row("square", "regions", "", study.square_regions as f64);
            for (of, numbers) in [("ball", &study.ball), ("small", &study.small)] {
                let quantities = [
                    ("lower_x", numbers.lower.0),
                    ("lower_y", numbers.lower.1),
                    ("upper_x", numbers.upper.0),
                    ("upper_y", numbers.upper.1),
                    ("area", numbers.area),
                    ("regions", numbers.regions as f64),
                    ("adversarial", numbers.adversarial),
                    ("exact_margin", numbers.exact_margin),
                    ("worst_x", numbers.worst.0),
                    ("worst_y", numbers.worst.1),
                    ("interval_margin", numbers.interval_margin),
                ];
                quantities.iter().for_each(|&(quantity, value)| row(of, quantity, "", value));
                for (layer, widths) in numbers.layers.iter().enumerate() {
                    let layer = self.layer(study, layer);
                    row(of, "exact_width", &layer, widths.exact_width);
                    row(of, "interval_width", &layer, widths.interval_width);
                }
            }
        }
        sheet
    }
}
