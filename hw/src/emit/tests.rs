//! What is printed, and what is refused. That printed expressions compute what kernels say is shown in co-simulation
//! (`tests/emitter.rs` of the root package).

use super::emit;
use crate::hdl::*;

/// A block around one kernel.
macro_rules! block {
    ($name:ident, [$($field:ident: $type:ty = $make:expr),* $(,)?], { $($logic:tt)* }) => {
        #[derive(LogicBlock)]
        struct $name {
            name: ModuleName,
            clock: Signal<In, Clock>,
            a: Wire<In>,
            s: Wire<In>,
            flag: Signal<In, Bit>,
            y: Wire<Out>,
            $($field: $type,)*
        }
        impl $name {
            #[allow(dead_code)]
            fn new() -> Self {
                Self {
                    name: ModuleName::new("block"),
                    clock: Default::default(),
                    a: Wire::unsigned(4),
                    s: Wire::signed(6),
                    flag: Default::default(),
                    y: Wire::unsigned(8),
                    $($field: $make,)*
                }
            }
        }
        impl Logic for $name {
            $($logic)*
        }
    };
}

fn text(block: impl Block) -> String {
    emit(block).unwrap_or_else(|e| panic!("{e}")).verilog()
}

fn refusal(block: impl Block) -> String {
    emit(block).expect_err("refused").to_string()
}

#[test]
fn operands_get_the_width_that_keeps_the_value() {
    block!(Sum, [], {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = self.a.val() + 3 - self.s.val();
        }
    });
    let text = text(Sum::new());
    assert!(text.contains("assign y = (({4'd0, a} + 8'd3) - {{2{s[5]}}, s});"), "{text}");
}

#[test]
fn comparisons_keep_carries_and_signs() {
    block!(Compare, [], {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = 0.into();
            if (self.a.val() + self.a.val() < 20) & (self.s.val() < self.a.val()) {
                self.y.next = self.s.val() >> 2;
            }
        }
    });
    let text = text(Compare::new());
    assert!(text.contains("(({1'd0, a} + {1'd0, a}) < 5'd20)"), "{text}");
    assert!(text.contains("($signed(s) < $signed({2'd0, a}))"), "{text}");
    assert!(text.contains("y = {{4{s[5]}}, s[5:2]};"), "{text}");
}

#[test]
fn a_sum_that_is_shifted_right_gets_a_wire() {
    block!(Half, [], {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = (self.a.val() + 1) >> 1;
        }
    });
    let text = text(Half::new());
    assert!(text.contains("wire [4:0] value_0 = ({1'd0, a} + 5'd1);"), "{text}");
    assert!(text.contains("assign y = {4'd0, value_0[4:1]};"), "{text}");
}

#[test]
fn loops_and_sizes_are_unrolled_and_constant_conditions_decided() {
    block!(Lanes, [n: Param = Param::new(3), z: Vec<Wire<Out>> = vec_of(3, || Wire::unsigned(2))], {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = 0.into();
            for i in 0..self.n.val() {
                if i == 0 {
                    self.z[i].next = self.a.val();
                } else {
                    self.z[i].next = self.z[(i + self.n.val()) - 4].val() + i;
                }
            }
        }
    });
    let text = text(Lanes::new());
    assert!(text.contains("output wire [5:0] z"), "{text}");
    assert!(text.contains("assign z_2 = (z_1 + 2'd2);"), "{text}");
    assert!(text.contains("assign z = {z_2, z_1, z_0};"), "{text}");
    assert!(!text.contains("if ("), "{text}");
}

#[test]
fn an_index_may_be_longer_than_a_line() {
    block!(Long, [number: Param = Param::new(3), z: Vec<Wire<Out>> = vec_of(8, || Wire::unsigned(2))], {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = self.z[(self.number.val() * self.number.val()) % (self.number.val() + 1)
                + (self.number.val() * self.number.val() + self.number.val() + 3) / (self.number.val() + 2)
                + self.number.val()
                - self.number.val()]
                .val();
            for i in 0..8 {
                self.z[i].next = i.into();
            }
        }
    });
    assert!(text(Long::new()).contains("assign y = {6'd0, z_4};"));
}

#[test]
fn conditions_are_decided_by_their_constant_half() {
    block!(Halves, [n: Param = Param::new(3)], {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = self.a.val();
            for i in 0..4 {
                if (i > self.n.val()) & (self.a.val() > i) {
                    self.y.next = 1.into();
                }
                if (i < self.n.val()) & self.flag.val() & (self.s.val() == i) {
                    self.y.next = 2.into();
                }
            }
        }
    });
    let text = text(Halves::new());
    assert_eq!(text.matches("if (").count(), 3, "{text}");
    assert!(text.contains("if ((flag & (s == 6'd2))) begin"), "{text}");
}

#[test]
fn statements_that_read_what_they_drive_are_separated() {
    block!(Shared, [w: Signal<Local, Bit> = Default::default()], {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = 0.into();
            self.w.next = false;
            if self.flag.val() {
                self.w.next = self.a.val().any();
                if self.w.val() {
                    self.y.next = 5.into();
                }
            }
        }
    });
    let text = text(Shared::new());
    assert_eq!(text.matches("always @(*)").count(), 2, "{text}");
}

#[test]
fn what_has_no_exact_verilog_is_refused() {
    block!(Latch, [], {
        #[hdl_gen]
        fn update(&mut self) {
            if self.flag.val() {
                self.y.next = self.a.val();
            }
        }
    });
    assert_eq!(refusal(Latch::new()), "block: y is not assigned on every path (a latch)");

    block!(Undriven, [w: Wire<Local> = Wire::unsigned(3)], {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = self.w.val();
        }
    });
    assert_eq!(refusal(Undriven::new()), "block: w is driven by nothing");

    block!(Word, [inside: Signal<Local, Bit> = Default::default()], {
        #[hdl_gen]
        fn update(&mut self) {
            self.inside.next = self.flag.val();
            self.y.next = self.a.val() + self.inside.val();
        }
    });
    assert!(refusal(Word::new()).contains("a signal is called inside"));

    block!(Circle, [], {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = self.y.val() + 1;
        }
    });
    assert_eq!(refusal(Circle::new()), "block: y depends on itself");

    block!(Beyond, [], {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = 0.into();
            if self.a.val().get_bit(4) {
                self.y.next = 1.into();
            }
        }
    });
    assert_eq!(refusal(Beyond::new()), "block: bit 4 of a, which has 4 bits");

    block!(Truthless, [n: Param = Param::new(1), z: Vec<Wire<Out>> = vec_of(1, || Wire::unsigned(2))], {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = 0.into();
            self.z[0].next = self.z[self.n.val() - 1].val();
        }
    });
    assert_eq!(refusal(Truthless::new()), "block: z$0 depends on itself");
}

#[test]
fn blocks_of_one_name_must_be_one_module() {
    #[derive(LogicBlock)]
    struct Parent {
        name: ModuleName,
        clock: Signal<In, Clock>,
        y: Wire<Out>,
        one: crate::credits::Credits,
        two: crate::credits::Credits,
    }
    impl Logic for Parent {
        #[hdl_gen]
        fn update(&mut self) {
            clock!(self, clock, one, two);
            self.one.reset.next = false;
            self.one.take.next = false;
            self.one.give.next = false;
            self.two.reset.next = false;
            self.two.take.next = false;
            self.two.give.next = false;
            self.y.next = (self.one.available.val() & self.two.available.val()).into();
        }
    }
    let parent = |a, b| Parent {
        name: ModuleName::new("parent"),
        clock: Default::default(),
        y: Wire::unsigned(2),
        one: crate::credits::Credits::new(a),
        two: crate::credits::Credits::new(b),
    };
    let design = emit(parent(4, 4)).unwrap();
    assert_eq!(design.modules.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["credits_4", "parent"]);
    assert!(design.verilog().contains(".clock(clock)"));
    assert_eq!(emit(parent(4, 8)).unwrap().modules.len(), 3);
}

#[test]
fn a_waiver_stands_around_its_module_with_its_reason() {
    block!(Waived, [unused: Waiver = Waiver::new("UNUSEDSIGNAL", "Half of `a` is for others.")], {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = self.a.val() >> 2;
        }
    });
    let text = text(Waived::new());
    let head = "// Half of `a` is for others.\n/* verilator lint_off UNUSEDSIGNAL */\nmodule block(\n";
    assert!(text.starts_with(head), "{text}");
    assert!(text.ends_with("endmodule\n/* verilator lint_on UNUSEDSIGNAL */\n"), "{text}");
}

#[test]
fn a_condition_that_constants_decide_is_no_block_that_waits_for_a_change() {
    // `always @(*)` runs when something it reads changes; where constants exclude all of that, it never does.
    block!(Decided, [], {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = 0.into();
            if ((self.a.val() >> 40) & 1).any() {
                self.y.next = self.a.val();
            }
        }
    });
    let text = text(Decided::new());
    assert!(!text.contains("always") && text.contains("assign y = "), "{text}");
}

#[test]
fn no_kernel_uses_an_inclusive_range() {
    const KERNEL: &str = "\n    #[hdl_gen]\n";
    // rust-hdl takes `0..=3` for `0..3` without a word.
    let mut kernels = 0;
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("tests.rs") {
                let source = std::fs::read_to_string(&path).unwrap();
                kernels += source.matches(KERNEL).count();
                // Up to the end of the function: the closing brace at the kernel's own depth.
                for kernel in source.split(KERNEL).skip(1) {
                    let body = kernel.split("\n    }\n").next().unwrap();
                    assert!(!body.contains("..="), "{}: ..= in a kernel", path.display());
                }
            }
        }
    }
    assert!(kernels > 1, "{kernels} kernels");
}
