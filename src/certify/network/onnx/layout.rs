//! Operators that compute nothing: extents, orders, and the arithmetic of extents that some exporters leave in the file.

use std::rc::Rc;

use super::call::Call;
use super::constant::{Constant, strided};
use super::value::{Symbol, checked};
use super::wrong;
use crate::error::Result;
use crate::formats::onnx::{Array, Attribute, Elements};

/// `axis`, counted from the end where it is negative, below `rank`.
pub(super) fn axis(axis: i64, rank: usize) -> Result<usize> {
    let from_front = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    match from_front.and_then(|a| usize::try_from(a).ok()) {
        Some(a) if a < rank => Ok(a),
        _ => wrong(format!("axis {axis} of {rank}")),
    }
}

/// Extents `to` for an array of extents `from`: a 0 keeps the extent there unless `zero` is one itself, a −1 is what is left.
fn reshaped(from: &[usize], to: &[i64], zero: bool) -> Result<Vec<usize>> {
    let elements: usize = from.iter().product();
    let bad = || wrong(format!("extents {to:?} for {from:?}: expected as many elements"));
    let mut dims = Vec::with_capacity(to.len());
    let mut open = None;
    for (i, &extent) in to.iter().enumerate() {
        match extent {
            -1 if open.is_none() => {
                open = Some(i);
                dims.push(1);
            }
            0 if !zero && i < from.len() => dims.push(from[i]),
            _ => match usize::try_from(extent) {
                Ok(extent) => dims.push(extent),
                Err(_) => return bad(),
            },
        }
    }
    let Some(known) = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) else { return bad() };
    if let Some(i) = open
        && known > 0
    {
        dims[i] = elements / known;
    }
    if dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) == Some(elements) { Ok(dims) } else { bad() }
}

impl Call<'_> {
    /// Settings that were attributes once and are operands now.
    fn listed(&mut self, name: &str, operand: usize) -> Result<Option<Vec<i64>>> {
        if let Some(values) = self.integers(name)? {
            return Ok(Some(values.to_vec()));
        }
        if self.has(operand) { Ok(Some(self.constant(operand)?.integers()?.to_vec())) } else { Ok(None) }
    }

    /// The operand under other extents or in another order.
    pub(super) fn layout(&mut self) -> Result<Symbol> {
        let x = self.operand(0)?;
        let from = match &x {
            Symbol::Constant(constant) => constant.dims.clone(),
            Symbol::Value(value) => value.dims.clone(),
        };
        checked(&from)?;
        let (dims, order) = self.extents(&from)?;
        Ok(match x {
            Symbol::Constant(constant) => {
                let order = order.unwrap_or_else(|| (0..constant.len()).collect());
                Symbol::Constant(Rc::new(constant.gathered(dims, order.into_iter())))
            }
            Symbol::Value(mut value) => {
                if dims != value.dims || order.is_some() {
                    value.without_padding()?;
                }
                checked(&dims)?;
                if let Some(order) = order {
                    let places: Vec<usize> = order.into_iter().map(|i| value.place(i)).collect();
                    let same = places.iter().enumerate().all(|(i, &place)| i == place);
                    value.order = if same { None } else { Some(Rc::new(places)) };
                }
                value.dims = dims;
                Symbol::Value(value)
            }
        })
    }

    /// Extents of the result, and for each of its elements the operand's unless that is the same one.
    fn extents(&mut self, from: &[usize]) -> Result<(Vec<usize>, Option<Vec<usize>>)> {
        let rank = from.len();
        let dims = match self.node.operator.as_str() {
            "Identity" => {
                self.only(&[])?;
                from.to_vec()
            }
            "Dropout" => {
                self.only(&["ratio", "seed", "is_test"])?;
                if self.has(2) && self.constant(2)?.integers()? != [0] {
                    return wrong("training_mode is set: expected an exported file, which drops nothing");
                }
                from.to_vec()
            }
            "Flatten" => {
                self.only(&["axis"])?;
                let at = self.integer("axis", 1)?;
                // The axis behind the last is one, too.
                let at = if at == rank as i64 { rank } else { axis(at, rank)? };
                vec![from[..at].iter().product(), from[at..].iter().product()]
            }
            "Reshape" => {
                self.only(&["shape", "allowzero"])?;
                let zero = self.integer("allowzero", 0)? != 0;
                match self.listed("shape", 1)? {
                    Some(to) => reshaped(from, &to, zero)?,
                    None => return wrong("no extents: expected a constant operand"),
                }
            }
            "Squeeze" => {
                self.only(&["axes"])?;
                let axes = match self.listed("axes", 1)? {
                    Some(axes) => axes.into_iter().map(|a| axis(a, rank)).collect::<Result<Vec<usize>>>()?,
                    None => (0..rank).filter(|&a| from[a] == 1).collect(),
                };
                if let Some(&a) = axes.iter().find(|&&a| from[a] != 1) {
                    return wrong(format!("axis {a} of extents {from:?}: expected one of extent 1"));
                }
                (0..rank).filter(|a| !axes.contains(a)).map(|a| from[a]).collect()
            }
            "Unsqueeze" => {
                self.only(&["axes"])?;
                let Some(axes) = self.listed("axes", 1)? else { return wrong("no axes: expected some") };
                let rank = rank + axes.len();
                let axes = axes.into_iter().map(|a| axis(a, rank)).collect::<Result<Vec<usize>>>()?;
                let mut rest = from.iter().copied();
                let at = |a| if axes.contains(&a) { 1 } else { rest.next().unwrap_or(1) };
                let dims: Vec<usize> = (0..rank).map(at).collect();
                if rest.next().is_some() {
                    return wrong(format!("axes {axes:?}: expected different ones"));
                }
                dims
            }
            _ => return self.transposed(from),
        };
        Ok((dims, None))
    }

    fn transposed(&mut self, from: &[usize]) -> Result<(Vec<usize>, Option<Vec<usize>>)> {
        self.only(&["perm"])?;
        let rank = from.len();
        let axes = match self.integers("perm")? {
            Some(axes) => axes.iter().map(|&a| axis(a, rank)).collect::<Result<Vec<usize>>>()?,
            None => (0..rank).rev().collect(),
        };
        if axes.len() != rank || (0..rank).any(|a| !axes.contains(&a)) {
            return wrong(format!("axes {axes:?} of {rank}: expected each once"));
        }
        let step = |a: &usize| from[a + 1..].iter().product();
        let steps: Vec<usize> = axes.iter().map(step).collect();
        let dims: Vec<usize> = axes.iter().map(|&a| from[a]).collect();
        let order = strided(&dims, &steps);
        Ok((dims, Some(order)))
    }

    /// Constant.
    pub(super) fn constant_node(&mut self) -> Result<Symbol> {
        let [(name, value)] = &self.node.attributes[..] else { return wrong("expected one setting, the value") };
        let array = match (name.as_str(), value) {
            ("value", Attribute::Array(array)) => array.clone(),
            ("value_float", &Attribute::Real(v)) => Array { dims: vec![], elements: Elements::Reals(vec![v.into()]) },
            ("value_int", &Attribute::Integer(v)) => Array { dims: vec![], elements: Elements::Integers(vec![v]) },
            ("value_floats", Attribute::Reals(v)) => {
                Array { dims: vec![v.len()], elements: Elements::Reals(v.iter().map(|&v| v.into()).collect()) }
            }
            ("value_ints", Attribute::Integers(v)) => {
                Array { dims: vec![v.len()], elements: Elements::Integers(v.clone()) }
            }
            _ => return wrong(format!("a constant by '{name}': expected numbers")),
        };
        Ok(Symbol::Constant(Rc::new(Constant::exact(array))))
    }

    /// Shape, Gather, Slice, Concat, Cast.
    pub(super) fn of_constants(&mut self) -> Result<Symbol> {
        let made = match self.node.operator.as_str() {
            "Shape" => {
                self.only(&[])?;
                let dims = match self.operand(0)? {
                    Symbol::Constant(constant) => constant.dims.clone(),
                    Symbol::Value(value) => value.dims,
                };
                Constant::vector(dims.into_iter().map(|d| d as i64).collect())
            }
            "Gather" => self.gather()?,
            "Slice" => self.slice()?,
            "Concat" => self.concat()?,
            _ => return self.cast(),
        };
        Ok(Symbol::Constant(Rc::new(made)))
    }

    /// One or several elements of a constant vector.
    fn gather(&mut self) -> Result<Constant> {
        self.only(&["axis"])?;
        let (from, indices) = (self.constant(0)?, self.constant(1)?);
        if from.dims.len() != 1 || self.integer("axis", 0)? != 0 {
            return wrong(format!("a constant of extents {:?}: expected a vector", from.dims));
        }
        let places = indices.integers()?.iter().map(|&i| axis(i, from.len())).collect::<Result<Vec<usize>>>()?;
        Ok(from.gathered(indices.dims.clone(), places.into_iter()))
    }

    /// A part of a constant vector, step 1.
    fn slice(&mut self) -> Result<Constant> {
        self.only(&["starts", "ends", "axes"])?;
        let from = self.constant(0)?;
        let (starts, ends) = (self.listed("starts", 1)?, self.listed("ends", 2)?);
        let (axes, steps) = (self.listed("axes", 3)?, self.listed("steps", 4)?);
        let zero = |list: Option<Vec<i64>>, value: i64| list.is_none_or(|list| list == [value]);
        let (Some([start]), Some([end])) = (starts.as_deref(), ends.as_deref()) else {
            return wrong("several axes: expected a part of a vector");
        };
        if from.dims.len() != 1 || !zero(axes, 0) || !zero(steps, 1) {
            return wrong(format!("a constant of extents {:?}: expected a vector, axis 0, step 1", from.dims));
        }
        let n = from.len() as i64;
        let place = |at: i64| if at < 0 { at.saturating_add(n).max(0) } else { at.min(n) } as usize;
        let places = place(*start)..place(*end).max(place(*start));
        Ok(from.gathered(vec![places.len()], places))
    }

    /// Constant vectors one behind the other.
    fn concat(&mut self) -> Result<Constant> {
        self.only(&["axis"])?;
        let parts = (0..self.node.inputs.len()).map(|i| self.constant(i)).collect::<Result<Vec<Rc<Constant>>>>()?;
        if parts.iter().any(|part| part.dims.len() != 1) || ![0, -1].contains(&self.integer("axis", 0)?) {
            return wrong("constants that are no vectors: expected vectors, axis 0");
        }
        if parts.iter().all(|part| part.is_whole()) {
            let all = parts.iter().map(|part| part.integers()).collect::<Result<Vec<&[i64]>>>()?;
            return Ok(Constant::vector(all.concat()));
        }
        parts.iter().try_for_each(|part| part.expect_reals())?;
        let numbers = parts.iter().flat_map(|part| (0..part.len()).map(|i| part.real(i)));
        Ok(Constant::reals(vec![parts.iter().map(|part| part.len()).sum()], numbers))
    }

    /// Between f32, f64 and whole numbers; a value stays the real one that it is.
    fn cast(&mut self) -> Result<Symbol> {
        self.only(&["to", "saturate"])?;
        let whole = match self.integer("to", 0)? {
            1 | 11 => false,
            6 | 7 => true,
            other => return wrong(format!("to type {other}: expected 1 (f32), 11 (f64), 6 or 7 (whole)")),
        };
        match self.operand(0)? {
            Symbol::Constant(constant) => Ok(Symbol::Constant(Rc::new(constant.cast(whole)))),
            Symbol::Value(value) if !whole => Ok(Symbol::Value(value)),
            Symbol::Value(_) => wrong("whole numbers of what depends on the input: expected reals"),
        }
    }
}
