//! One module as Verilog: ports with packed lanes, registers in place, statements grouped by what they drive.

use super::expression::{Expression, Hoisted, Symbol};
use super::keywords;
use super::resolve::{Scope, Statement, Target, resolve};
use super::tree::{AtomInfo, Node};
use super::{EmitError, Module, Port};
use crate::hdl::{AtomKind, Verilog, bits_for};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write;

/// An atom of an interface with the vector that its array is packed into.
#[derive(Debug, Clone)]
struct Lane {
    atom: AtomInfo,
    port: String,
    index: usize,
    lanes: usize,
}

/// Ports of a block: lanes of an array `x$0, x$1, ...` become one vector `x`.
fn pack(node: &Node, error: &impl Fn(String) -> EmitError) -> Result<Vec<Lane>, EmitError> {
    let interface =
        node.atoms.iter().filter(|a| matches!(a.kind, AtomKind::InputParameter | AtomKind::OutputParameter));
    let mut lanes: Vec<Lane> = vec![];
    let mut count: HashMap<String, usize> = HashMap::new();
    for atom in interface {
        let parts: Vec<&str> = atom.name.split('$').collect();
        let array = parts.iter().any(|p| p.parse::<usize>().is_ok());
        let base: Vec<&str> = parts.iter().copied().filter(|p| p.parse::<usize>().is_err()).collect();
        let port = base.join("_");
        let seen = count.entry(port.clone()).or_default();
        let index = *seen;
        *seen += 1;
        if !array && index > 0 {
            return Err(error(format!("two ports are called {port}")));
        }
        lanes.push(Lane { atom: atom.clone(), port, index, lanes: usize::from(array) });
    }
    for lane in &mut lanes {
        // 0 marks a port that is no array.
        lane.lanes *= count[&lane.port];
    }
    for pair in lanes.windows(2) {
        let (a, b) = (&pair[0], &pair[1]);
        if a.port == b.port && (a.atom.bits, a.atom.kind) != (b.atom.bits, b.atom.kind) {
            return Err(error(format!("lanes of {} differ in width or direction", a.port)));
        }
    }
    Ok(lanes)
}

fn ports(lanes: &[Lane]) -> Vec<Port> {
    lanes
        .iter()
        .filter(|l| l.index == 0)
        .map(|l| Port {
            name: l.port.clone(),
            bits: l.atom.bits * l.lanes.max(1),
            lanes: l.lanes.max(1),
            input: l.atom.kind == AtomKind::InputParameter,
        })
        .collect()
}

/// Prints a block's module and those below it, each once.
pub fn module(
    node: &Node,
    modules: &mut BTreeMap<String, Module>,
    order: &mut Vec<String>,
) -> Result<Vec<Port>, EmitError> {
    for child in node.children.iter().filter(|c| !c.register) {
        module(child, modules, order)?;
    }
    let error = |what: String| EmitError { module: node.module.clone(), what };
    let lanes = pack(node, &error)?;
    let (body, native) = match &node.code {
        Verilog::Combinatorial(code) => (Printer::new(node, &lanes).and_then(|p| p.print(code)).map_err(&error)?, true),
        Verilog::Empty => (Printer::new(node, &lanes).and_then(|p| p.print(&vec![])).map_err(&error)?, true),
        Verilog::Custom(text) => (Body { text: indent(text), registered: BTreeSet::new() }, false),
        Verilog::Blackbox(_) | Verilog::Wrapper(_) => return Err(error("black boxes are not printed".into())),
    };
    let ports = ports(&lanes);
    let mut text = String::new();
    for (rule, reason) in &node.waivers {
        let _ = writeln!(text, "// {reason}\n/* verilator lint_off {rule} */");
    }
    let _ = writeln!(text, "module {}(", node.module);
    for (i, port) in ports.iter().enumerate() {
        let direction = if port.input { "input  wire" } else { "output wire" };
        let direction = if body.registered.contains(&port.name) { "output reg " } else { direction };
        let array = lanes.iter().any(|l| l.port == port.name && l.lanes > 0);
        let comma = if i + 1 < ports.len() { "," } else { "" };
        let _ = writeln!(text, "    {direction} {}{}{comma}", range(port.bits, array), port.name);
    }
    text.push_str(");\n");
    text.push_str(&body.text);
    text.push_str("endmodule\n");
    for (rule, _) in &node.waivers {
        let _ = writeln!(text, "/* verilator lint_on {rule} */");
    }
    let printed = Module { name: node.module.clone(), text, native };
    match modules.get(&node.module) {
        Some(other) if *other != printed => {
            let (a, b) = other.text.lines().zip(printed.text.lines()).find(|(a, b)| a != b).unwrap_or(("", ""));
            return Err(error(format!("two different blocks bear this name: {a:?} and {b:?}")));
        }
        Some(_) => {}
        None => {
            modules.insert(node.module.clone(), printed);
            order.push(node.module.clone());
        }
    }
    Ok(ports)
}

fn indent(text: &str) -> String {
    text.lines().map(|l| if l.trim().is_empty() { "\n".into() } else { format!("    {l}\n") }).collect()
}

fn range(bits: usize, array: bool) -> String {
    if bits == 1 && !array { String::new() } else { format!("[{}:0] ", bits - 1) }
}

fn identifier(path: &str) -> String {
    path.replace('$', "_")
}

struct Body {
    text: String,
    /// Output ports that a procedural block drives.
    registered: BTreeSet<String>,
}

struct Printer<'a> {
    node: &'a Node,
    scope: Scope,
    /// Children's ports.
    child_lanes: Vec<Vec<Lane>>,
    /// Own outputs that are arrays: their lanes' targets.
    output_arrays: Vec<(String, Vec<usize>)>,
    /// `(q, bits, d target)`.
    registers: Vec<(String, usize, usize)>,
    /// Packed outputs of children: name and bits.
    child_outputs: Vec<(String, usize, bool)>,
    names: HashSet<String>,
}

impl<'a> Printer<'a> {
    fn new(node: &'a Node, lanes: &[Lane]) -> Result<Self, String> {
        let mut p = Self {
            node,
            scope: Scope::default(),
            child_lanes: vec![],
            output_arrays: vec![],
            registers: vec![],
            child_outputs: vec![],
            names: lanes.iter().map(|l| l.port.clone()).collect(),
        };
        for lane in lanes {
            let key = lane.atom.name.clone();
            p.enumeration(&key, &lane.atom);
            if lane.atom.kind == AtomKind::InputParameter {
                let symbol = if lane.lanes > 0 {
                    Symbol::lane(lane.port.clone(), lane.index, &lane.atom)
                } else {
                    Symbol::whole(lane.port.clone(), &lane.atom)
                };
                p.scope.readable.insert(key, symbol);
            } else if lane.lanes > 0 {
                let name = p.fresh(identifier(&key))?;
                let target = p.target(&key, name, &lane.atom, false);
                match p.output_arrays.last_mut() {
                    Some((port, targets)) if *port == lane.port => targets.push(target),
                    _ => p.output_arrays.push((lane.port.clone(), vec![target])),
                }
            } else {
                p.target(&key, lane.port.clone(), &lane.atom, true);
            }
        }
        for atom in &node.atoms {
            match atom.kind {
                AtomKind::Constant => {
                    p.scope.constants.insert(atom.name.clone(), atom.value.clone());
                }
                AtomKind::LocalSignal => {
                    p.enumeration(&atom.name, atom);
                    let name = p.fresh(identifier(&atom.name))?;
                    p.target(&atom.name, name, atom, false);
                }
                _ => {}
            }
        }
        for child in &node.children {
            if child.register { p.register(child)? } else { p.child(child)? }
        }
        Ok(p)
    }

    fn fresh(&mut self, name: String) -> Result<String, String> {
        if keywords::reserved(&name) {
            return Err(format!("a signal is called {name}, which is a word of SystemVerilog: another name"));
        }
        if self.names.insert(name.clone()) { Ok(name) } else { Err(format!("two signals are called {name}")) }
    }

    fn enumeration(&mut self, key: &str, atom: &AtomInfo) {
        if !atom.variants.is_empty() {
            self.scope.enumerations.insert(key.into(), atom.variants.len());
            for (value, variant) in atom.variants.iter().enumerate() {
                self.scope.constants.insert(variant.clone(), value.into());
            }
        }
    }

    fn target(&mut self, key: &str, text: String, atom: &AtomInfo, port: bool) -> usize {
        let index = self.scope.targets.len();
        self.scope.readable.insert(key.into(), Symbol::whole(text.clone(), atom));
        self.scope.target_of.insert(key.into(), index);
        self.scope.targets.push(Target { key: key.into(), text, bits: atom.bits, port });
        index
    }

    fn register(&mut self, child: &Node) -> Result<(), String> {
        self.child_lanes.push(vec![]);
        let atom = |name: &str| child.atoms.iter().find(|a| a.name == name).expect("a register has d and q");
        let (d, q) = (atom("d"), atom("q"));
        let name = self.fresh(identifier(&child.instance))?;
        let next = self.fresh(format!("{name}_next"))?;
        let key = |port: &str| format!("{}${port}", child.instance);
        self.scope.readable.insert(key("q"), Symbol::whole(name.clone(), q));
        self.enumeration(&key("q"), q);
        let target = self.target(&key("d"), next, d, false);
        // The clock of a register is the module's.
        let clock = self.scope.targets.len();
        self.scope.target_of.insert(key("clock"), clock);
        self.scope.targets.push(Target { key: key("clock"), text: String::new(), bits: 1, port: false });
        self.registers.push((name, d.bits, target));
        Ok(())
    }

    fn child(&mut self, child: &Node) -> Result<(), String> {
        let lanes = pack(child, &|what| EmitError { module: child.module.clone(), what }).map_err(|e| e.to_string())?;
        let instance = identifier(&child.instance);
        for lane in &lanes {
            let key = format!("{}${}", child.instance, lane.atom.name);
            self.enumeration(&key, &lane.atom);
            if lane.atom.kind == AtomKind::InputParameter {
                let name = self.fresh(identifier(&key))?;
                self.target(&key, name, &lane.atom, false);
            } else {
                let vector = format!("{instance}_{}", lane.port);
                if lane.index == 0 {
                    let vector = self.fresh(vector.clone())?;
                    self.child_outputs.push((vector, lane.atom.bits * lane.lanes.max(1), lane.lanes > 0));
                }
                let symbol = if lane.lanes > 0 {
                    Symbol::lane(vector, lane.index, &lane.atom)
                } else {
                    Symbol::whole(vector, &lane.atom)
                };
                self.scope.readable.insert(key, symbol);
            }
        }
        self.child_lanes.push(lanes);
        Ok(())
    }

    fn print(self, code: &rust_hdl_core::ast::VerilogBlock) -> Result<Body, String> {
        let statements = resolve(code, &self.scope)?;
        let groups = separate(group(statements, self.scope.targets.len()), &self.scope);
        let mut hoisted = Hoisted::default();
        let mut driven = vec![false; self.scope.targets.len()];
        let mut procedural = vec![false; self.scope.targets.len()];
        // Targets that are only another name of something: written where they are used.
        let mut alias: HashMap<usize, String> = HashMap::new();
        let mut logic = String::new();
        let is_clock = |t: usize| self.scope.targets[t].text.is_empty();
        for g in &groups {
            let mut set = BTreeSet::new();
            g.iter().for_each(|s| written(s, &mut set));
            set.iter().for_each(|&t| driven[t] = true);
            if let [Statement::Assign(t, value)] = &g[..] {
                let target = &self.scope.targets[*t];
                if is_clock(*t) {
                    match value {
                        Expression::Symbol(s) if s.text == "clock" => continue,
                        _ => return Err(format!("{} has to be the port `clock`", target.key)),
                    }
                }
                let text = value.text(target.bits, &mut hoisted).map_err(|e| format!("{}: {e}", target.key))?;
                if self.child_input(*t) && matches!(value, Expression::Symbol(_) | Expression::Constant(_)) {
                    alias.insert(*t, text);
                    continue;
                }
                reads(value, target)?;
                let _ = writeln!(logic, "    assign {} = {text};", target.text);
                continue;
            }
            if !g.iter().any(varies) {
                let key = set.first().map_or("", |&t| &*self.scope.targets[t].key);
                return Err(format!("{key} depends on nothing: `always @(*)` would never run in a simulator"));
            }
            let mut assigned = BTreeSet::new();
            for s in g {
                definite(s, &mut assigned);
            }
            if let Some(&missing) = set.difference(&assigned).next() {
                return Err(format!("{} is not assigned on every path (a latch)", self.scope.targets[missing].key));
            }
            for &t in &set {
                procedural[t] = true;
                for s in g {
                    statement_reads(s, &self.scope.targets[t])?;
                }
            }
            logic.push_str("    always @(*) begin\n");
            for s in g {
                self.statement(s, 2, &mut logic, &mut hoisted)?;
            }
            logic.push_str("    end\n");
        }
        if let Some(open) = driven.iter().position(|d| !d) {
            return Err(format!("{} is driven by nothing", self.scope.targets[open].key));
        }

        let mut text = String::new();
        for (t, target) in self.scope.targets.iter().enumerate() {
            if !is_clock(t) && !target.port && !alias.contains_key(&t) {
                let kind = if procedural[t] { "reg " } else { "wire" };
                let _ = writeln!(text, "    {kind} {}{};", range(target.bits, false), target.text);
            }
        }
        for (name, bits, _) in &self.registers {
            let _ = writeln!(text, "    reg  {}{name};", range(*bits, false));
        }
        let helpers = !self.child_outputs.is_empty() || !hoisted.wires.is_empty();
        if helpers {
            text.push_str("    // A parent need not use all that a child offers, nor all bits of a whole number.\n");
            text.push_str("    /* verilator lint_off UNUSEDSIGNAL */\n");
        }
        for (name, bits, array) in &self.child_outputs {
            let _ = writeln!(text, "    wire {}{name};", range(*bits, *array));
        }
        for (name, bits, value) in &hoisted.wires {
            let _ = writeln!(text, "    wire {}{name} = {value};", range(*bits, false));
        }
        if helpers {
            text.push_str("    /* verilator lint_on UNUSEDSIGNAL */\n");
        }
        text.push('\n');
        text.push_str(&logic);
        for (port, targets) in &self.output_arrays {
            let lanes: Vec<&str> = targets.iter().rev().map(|&t| self.scope.targets[t].text.as_str()).collect();
            let _ = writeln!(text, "    assign {port} = {};", concat(&lanes));
        }
        for (child, lanes) in self.node.children.iter().zip(&self.child_lanes) {
            if !child.register {
                self.instance(child, lanes, &alias, &mut text);
            }
        }
        if !self.registers.is_empty() {
            text.push_str("    always @(posedge clock) begin\n");
            for (name, _, d) in &self.registers {
                let _ = writeln!(text, "        {name} <= {};", self.scope.targets[*d].text);
            }
            text.push_str("    end\n");
        }
        let registered = self
            .scope
            .targets
            .iter()
            .enumerate()
            .filter(|(t, target)| target.port && procedural[*t])
            .map(|(_, target)| target.text.clone())
            .collect();
        Ok(Body { text, registered })
    }

    /// Is the target an input of a child (and not of a register)?
    fn child_input(&self, target: usize) -> bool {
        let key = &self.scope.targets[target].key;
        self.node.children.iter().filter(|c| !c.register).any(|c| {
            key.strip_prefix(&c.instance).is_some_and(|rest| rest.starts_with('$'))
                && !self.node.atoms.iter().any(|a| a.name == *key)
        })
    }

    fn instance(&self, child: &Node, lanes: &[Lane], alias: &HashMap<usize, String>, text: &mut String) {
        let instance = identifier(&child.instance);
        let connections: Vec<String> = ports(lanes)
            .iter()
            .map(|port| {
                if !port.input {
                    return format!("        .{}({instance}_{})", port.name, port.name);
                }
                let values: Vec<&str> = lanes
                    .iter()
                    .filter(|l| l.port == port.name)
                    .map(|l| {
                        let target = self.scope.target_of[&format!("{}${}", child.instance, l.atom.name)];
                        alias.get(&target).map_or(self.scope.targets[target].text.as_str(), String::as_str)
                    })
                    .rev()
                    .collect();
                format!("        .{}({})", port.name, concat(&values))
            })
            .collect();
        // With a prefix, as is usual: a plain name would hide signals of that name in the module below.
        let _ = writeln!(text, "    {} u_{instance}(\n{}\n    );", child.module, connections.join(",\n"));
    }

    fn statement(&self, s: &Statement, depth: usize, out: &mut String, hoisted: &mut Hoisted) -> Result<(), String> {
        let pad = "    ".repeat(depth);
        match s {
            Statement::Assign(t, value) => {
                let target = &self.scope.targets[*t];
                let text = value.text(target.bits, hoisted).map_err(|e| format!("{}: {e}", target.key))?;
                let _ = writeln!(out, "{pad}{} = {text};", target.text);
            }
            Statement::If(test, then, otherwise) => {
                let _ = writeln!(out, "{pad}if ({}) begin", condition(test, hoisted)?);
                for s in then {
                    self.statement(s, depth + 1, out, hoisted)?;
                }
                if !otherwise.is_empty() {
                    let _ = writeln!(out, "{pad}end else begin");
                    for s in otherwise {
                        self.statement(s, depth + 1, out, hoisted)?;
                    }
                }
                let _ = writeln!(out, "{pad}end");
            }
            Statement::Case(test, cases, variants) => {
                let bits = test.shape().bits.max(bits_for(variants.saturating_sub(1)));
                let _ = writeln!(out, "{pad}case ({})", test.text(bits, hoisted)?);
                for (label, body) in cases {
                    let label = match label {
                        Some(value) => Expression::Constant(value.clone()).text(bits, hoisted)?,
                        None => "default".into(),
                    };
                    let _ = writeln!(out, "{pad}    {label}: begin");
                    for s in body {
                        self.statement(s, depth + 2, out, hoisted)?;
                    }
                    let _ = writeln!(out, "{pad}    end");
                }
                if cases.iter().all(|(label, _)| label.is_some()) {
                    let _ = writeln!(out, "{pad}    default: begin end");
                }
                let _ = writeln!(out, "{pad}endcase");
            }
        }
        Ok(())
    }
}

fn condition(test: &Expression, hoisted: &mut Hoisted) -> Result<String, String> {
    if !test.truth() {
        return Err("a condition has to be a truth value: compare, or use any()".into());
    }
    test.text(1, hoisted)
}

/// `name[high:low]` as its parts.
fn slice(text: &str) -> Option<(&str, usize, usize)> {
    let (name, range) = text.strip_suffix(']')?.split_once('[')?;
    let (high, low) = range.split_once(':').unwrap_or((range, range));
    Some((name, high.parse().ok()?, low.parse().ok()?))
}

/// Lanes, highest first, as one vector. Neighbouring slices of one vector are written as one.
fn concat(lanes: &[&str]) -> String {
    let mut joined: Vec<String> = vec![];
    for lane in lanes {
        let pair = joined.last().and_then(|last| slice(last)).zip(slice(lane));
        match pair {
            Some(((a, high, end), (b, start, low))) if a == b && end == start + 1 => {
                *joined.last_mut().expect("just seen") = format!("{b}[{high}:{low}]");
            }
            _ => joined.push(lane.to_string()),
        }
    }
    let lanes: Vec<&str> = joined.iter().map(String::as_str).collect();
    if lanes.len() == 1 {
        return lanes[0].into();
    }
    let mut text = String::from("{");
    let mut column = 0;
    for (i, lane) in lanes.iter().enumerate() {
        if i > 0 {
            text.push_str(", ");
        }
        if column + lane.len() > 90 {
            text.push_str("\n            ");
            column = 0;
        }
        text.push_str(lane);
        column += lane.len() + 2;
    }
    text.push('}');
    text
}

/// Does it read a signal? Branches that constants exclude do not count: simulators drop them with what they read.
fn varies(s: &Statement) -> bool {
    match s {
        Statement::Assign(_, value) => value.varies(),
        Statement::If(test, ..) | Statement::Case(test, ..) => test.varies(),
    }
}

fn written(s: &Statement, into: &mut BTreeSet<usize>) {
    match s {
        Statement::Assign(t, _) => {
            into.insert(*t);
        }
        Statement::If(_, a, b) => a.iter().chain(b).for_each(|s| written(s, into)),
        Statement::Case(_, cases, _) => cases.iter().flat_map(|(_, b)| b).for_each(|s| written(s, into)),
    }
}

/// Statements that share a target go together, in the kernel's order.
fn group(statements: Vec<Statement>, targets: usize) -> Vec<Vec<Statement>> {
    let mut parent: Vec<usize> = (0..targets).collect();
    fn find(parent: &mut [usize], mut x: usize) -> usize {
        while parent[x] != x {
            parent[x] = parent[parent[x]];
            x = parent[x];
        }
        x
    }
    let sets: Vec<Vec<usize>> = statements
        .iter()
        .map(|s| {
            let mut set = BTreeSet::new();
            written(s, &mut set);
            set.into_iter().collect()
        })
        .collect();
    for set in &sets {
        for pair in set.windows(2) {
            let (a, b) = (find(&mut parent, pair[0]), find(&mut parent, pair[1]));
            parent[a] = b;
        }
    }
    let mut groups: Vec<Vec<Statement>> = vec![];
    let mut place: HashMap<usize, usize> = HashMap::new();
    for (s, set) in statements.into_iter().zip(&sets) {
        let Some(&first) = set.first() else { continue };
        let root = find(&mut parent, first);
        let at = *place.entry(root).or_insert_with(|| {
            groups.push(vec![]);
            groups.len() - 1
        });
        groups[at].push(s);
    }
    // An unconditional assignment makes plain ones before it dead (`dff_setup!` gives every register one).
    for g in &mut groups {
        let mut later: BTreeSet<usize> = BTreeSet::new();
        let mut kept: Vec<Statement> = vec![];
        for s in std::mem::take(g).into_iter().rev() {
            match s {
                Statement::Assign(t, _) if later.contains(&t) => {}
                Statement::Assign(t, value) => {
                    later.insert(t);
                    kept.push(Statement::Assign(t, value));
                }
                other => kept.push(other),
            }
        }
        kept.reverse();
        *g = kept;
    }
    groups
}

/// Splits groups that read what they drive: one group per target, with the conditions repeated. In a kernel every value
/// is the settled one, so nothing changes but that no procedure waits for itself.
fn separate(groups: Vec<Vec<Statement>>, scope: &Scope) -> Vec<Vec<Statement>> {
    let mut out = vec![];
    for g in groups {
        let mut set = BTreeSet::new();
        g.iter().for_each(|s| written(s, &mut set));
        let own = |s: &Statement| set.iter().any(|&t| statement_reads(s, &scope.targets[t]).is_err());
        if set.len() > 1 && g.iter().any(own) {
            out.extend(set.iter().map(|&t| g.iter().filter_map(|s| restrict(s, t)).collect()));
        } else {
            out.push(g);
        }
    }
    out
}

/// What a statement does to one target.
fn restrict(s: &Statement, target: usize) -> Option<Statement> {
    let all = |body: &[Statement]| body.iter().filter_map(|s| restrict(s, target)).collect::<Vec<_>>();
    match s {
        Statement::Assign(t, _) => (*t == target).then(|| s.clone()),
        Statement::If(test, a, b) => {
            let (a, b) = (all(a), all(b));
            (!a.is_empty() || !b.is_empty()).then(|| Statement::If(test.clone(), a, b))
        }
        Statement::Case(test, cases, variants) => {
            let cases: Vec<_> = cases.iter().map(|(label, body)| (label.clone(), all(body))).collect();
            let any = cases.iter().any(|(_, body)| !body.is_empty());
            any.then(|| Statement::Case(test.clone(), cases, *variants))
        }
    }
}

/// Targets that a statement assigns whatever the conditions.
fn definite(s: &Statement, assigned: &mut BTreeSet<usize>) {
    match s {
        Statement::Assign(t, _) => {
            assigned.insert(*t);
        }
        Statement::If(_, a, b) => {
            let (mut left, mut right) = (assigned.clone(), assigned.clone());
            for s in a {
                definite(s, &mut left);
            }
            for s in b {
                definite(s, &mut right);
            }
            assigned.extend(left.intersection(&right).copied());
        }
        Statement::Case(_, cases, variants) => {
            let complete = cases.iter().any(|(l, _)| l.is_none()) || cases.len() >= *variants;
            let mut common: Option<BTreeSet<usize>> = None;
            for (_, body) in cases {
                let mut arm = assigned.clone();
                for s in body {
                    definite(s, &mut arm);
                }
                common = Some(match common {
                    None => arm,
                    Some(c) => c.intersection(&arm).copied().collect(),
                });
            }
            if complete {
                assigned.extend(common.unwrap_or_default());
            }
        }
    }
}

/// Refuses a value that depends on its own target.
fn reads(value: &Expression, target: &Target) -> Result<(), String> {
    match value {
        Expression::Symbol(s) if s.text == target.text => Err(format!("{} depends on itself", target.key)),
        Expression::Symbol(_) | Expression::Constant(_) => Ok(()),
        Expression::Binary(a, _, b) | Expression::Bit(a, b) => reads(a, target).and_then(|()| reads(b, target)),
        Expression::Not(x) | Expression::Negate(x) | Expression::Any(x) | Expression::Truncate(x, _) => {
            reads(x, target)
        }
    }
}

fn statement_reads(s: &Statement, target: &Target) -> Result<(), String> {
    match s {
        Statement::Assign(_, value) => reads(value, target),
        Statement::If(test, a, b) => {
            reads(test, target)?;
            a.iter().chain(b).try_for_each(|s| statement_reads(s, target))
        }
        Statement::Case(test, cases, _) => {
            reads(test, target)?;
            cases.iter().flat_map(|(_, b)| b).try_for_each(|s| statement_reads(s, target))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::concat;

    #[test]
    fn neighbouring_slices_are_written_as_one() {
        assert_eq!(concat(&["x[11:8]", "x[7:4]", "x[3:0]"]), "x[11:0]");
        assert_eq!(concat(&["x[2]", "x[1]", "x[0]"]), "x[2:0]");
        assert_eq!(concat(&["x[3:0]", "x[7:4]"]), "{x[3:0], x[7:4]}", "another order is not a slice");
        assert_eq!(concat(&["x[7:4]", "y[3:0]", "a", "b"]), "{x[7:4], y[3:0], a, b}");
        assert_eq!(concat(&["x[7:4]"]), "x[7:4]");
    }
}
