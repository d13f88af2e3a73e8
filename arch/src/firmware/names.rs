//! Numbers of fields, streams and ports.

macro_rules! numbered {
    ($(#[doc = $about:literal])* $name:ident { $($(#[doc = $doc:literal])* $variant:ident,)* }) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(usize)]
        pub enum $name {
            $($(#[doc = $doc])* $variant,)*
        }

        impl $name {
            /// All of them, by number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its number.
            pub const fn at(self) -> usize {
                self as usize
            }
        }
    };
}

numbered! {
    /// A field of what is pushed. Those from `NewLists` on are `layer`'s, the first ones are everyone's.
    Field {
        /// See [`Push`].
        A,
        /// See [`Push`].
        B,
        /// See [`Push`].
        C,
        /// See [`Push`].
        D,
        /// See [`Push`].
        E,
        /// See [`Push`].
        F,
        /// Importances that are read go to `survivor_select`, not to `token_store`.
        ReadToSelect,
        /// `csr`'s `status`.
        Status,
        /// `csr`'s `error`.
        Error,
        /// Jobs fetched.
        SubmissionHead,
        /// Completions written.
        CompletionTail,
        /// A list of keys (bit 0), of queries (bit 1) belongs to the layer.
        NewLists,
        /// log2(head dimension) - 4.
        Dim,
        /// Query heads.
        Heads,
        /// Query heads that share keys and values.
        Group,
        /// Heads that are computed, 0 to 63.
        MaskLow,
        /// And from 64 on.
        MaskHigh,
        /// Causal (bit 0), scaled (bit 1), weighted (bit 2).
        Kind,
        /// Token of query row 0.
        FirstRow,
        /// Share of values.
        Share,
        /// Flat rows are computed again.
        Progressive,
        /// Rows whose sum exceeds this are flat.
        Threshold,
        /// How MSBs and LSBs belong together.
        Split,
        /// Bits of K, or of its MSBs.
        BitsK,
        /// The same of V.
        BitsV,
        /// The same of Q.
        BitsQ,
        /// Bits of K's LSBs.
        LsbsK,
        /// The same of V.
        LsbsV,
        /// The same of Q.
        LsbsQ,
        /// Of `arch::content`, by number, and of outputs: where head 0 begins.
        Base0,
        /// See `Base0`.
        Base1,
        /// See `Base0`.
        Base2,
        /// See `Base0`.
        Base3,
        /// See `Base0`.
        Base4,
        /// See `Base0`.
        Base5,
        /// See `Base0`.
        Base6,
        /// See `Base0`.
        Base7,
        /// See `Base0`.
        Base8,
        /// See `Base0`.
        Base9,
        /// See `Base0`.
        Base10,
        /// Words to the next head.
        Stride0,
        /// See `Stride0`.
        Stride1,
        /// See `Stride0`.
        Stride2,
        /// See `Stride0`.
        Stride3,
        /// See `Stride0`.
        Stride4,
        /// See `Stride0`.
        Stride5,
        /// See `Stride0`.
        Stride6,
        /// See `Stride0`.
        Stride7,
        /// See `Stride0`.
        Stride8,
        /// See `Stride0`.
        Stride9,
        /// See `Stride0`.
        Stride10,
    }
}

numbered! {
    /// A stream that the program pushes.
    Push {
        /// `layer`
        Layer,
        /// `factor`: logit `A`, importance `B`
        Factor,
        /// `command` of `importance_accumulator`: op `A`; heads (bit 0) and mean (bit 1) `B`; count `C`; gamma `D`
        Command,
        /// `job` of `verdict_map`: write `A`, base `B`, stride `C`, rows `D`
        Map,
        /// `head_load`: importance `A`
        HeadLoad,
        /// `select` of `survivor_select`, with a new list: keep `A`
        Select,
        /// `command` of `token_store`: op `A`, listed `B`, from `C`, to `D`, x `E`, y `F`
        Store,
        /// Asks for a word of card memory: channel `A`, address `B`
        Read,
        /// Asks for a word of host memory: byte address `B`
        HostRead,
        /// Writes a word of card memory: channel `A`, address `B`, bytes `C`
        Write,
        /// Writes a word of host memory: byte address `B`, bytes `C`
        HostWrite,
        /// Waits for what was written to card memory
        Flush,
        /// What happens, as in `interrupt_status`: `A`; taken at once
        Event,
        /// A job ends; taken at once
        Job,
    }
}

numbered! {
    /// A stream that it pops.
    Pop {
        /// `done` of `importance_accumulator`
        Done,
        /// `done` of `token_store`
        StoreDone,
        /// `head_read`
        HeadRead,
        /// `done` of `verdict_map`
        MapDone,
        /// A word of card memory
        Word,
        /// A word of host memory
        HostWord,
        /// What was written to card memory is there
        Written,
        /// A word that was written to host memory is
        HostWritten,
    }
}

numbered! {
    /// What it sees: fields of the streams that it pops, and registers.
    Port {
        /// Tokens' sums that did not fit.
        TokenSaturations,
        /// Heads' sums that did not fit.
        HeadSaturations,
        /// Of `token_store`.
        StoreCount,
        /// Of `head_read`.
        HeadImportance,
        /// Rows of the layer that were computed again.
        FlatRows,
        /// Channels on which a write failed.
        WriteErrors,
        /// A word of host memory could not be read (bit 0) or written (bit 1).
        HostErrors,
        /// `control.enable`
        Enable,
        /// Host address of the ring of jobs.
        SubmissionBase,
        /// log2 of its entries.
        SubmissionLevel,
        /// Jobs written.
        SubmissionTail,
        /// Host address of the ring of completions.
        CompletionBase,
        /// log2 of its entries.
        CompletionLevel,
        /// Completions read.
        CompletionHead,
    }
}
