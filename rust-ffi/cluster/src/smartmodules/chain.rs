//! A chain of modules: the output of one is the input of the next. State that modules keep is the chain's, for as long
//! as it lives.

use fluvio_protocol::Decoder;
use fluvio_protocol::link::smartmodule::{SmartModuleKind, SmartModuleTransformRuntimeError};
use fluvio_smartmodule::dataplane::smartmodule::{
    Lookback, SmartModuleExtraParams, SmartModuleInitInput, SmartModuleTransformErrorStatus,
};
use wasmi::Module;

use super::failure::Failure;
use super::host::Stop;
use super::instance::{Function, Instance, Limits};
use super::records::{Block, Reader, read_block};

/// What a step of a chain is made of.
pub(super) struct Step {
    pub(super) module: Module,
    pub(super) params: SmartModuleExtraParams,
    pub(super) initial: Vec<u8>,
}

/// A batch of records as a chain takes it; a place in the log and the bytes after the header, not compressed.
#[derive(Debug)]
pub(crate) struct Input<'a> {
    pub(crate) base_offset: i64,
    pub(crate) base_time: i64,
    pub(crate) block: &'a [u8],
}

/// What a module does with records.
#[derive(Debug)]
enum Transform {
    Plain(Function),
    Aggregate { function: Function, accumulator: Vec<u8> },
}

/// A module of a chain.
#[derive(Debug)]
struct Link {
    instance: Instance,
    transform: Transform,
    look_back: Option<(Function, Lookback)>,
}

/// A chain that can be called. Without modules it lets all records pass.
#[derive(Debug)]
pub(crate) struct Chain {
    links: Vec<Link>,
    version: i16,
    pub(super) stop: Stop,
    /// What the batch at an offset has become, that did not fit into the reply for which it was run.
    pub(super) pending: Option<(i64, Block, Verdict)>,
}

impl Link {
    fn new(step: Step, limits: Limits, stop: Stop, version: i16) -> Result<Self, Failure> {
        let mut instance = Instance::new(&step.module, limits, stop, version)?;
        let init = instance.function("init")?;
        let look_back = instance.function("look_back")?;
        let transform = transform(&instance, step.initial)?;
        let look_back = look_back.zip(step.params.lookback().cloned());
        if let Some(init) = init {
            instance.init(init, &SmartModuleInitInput { params: step.params })?;
        }
        Ok(Self { instance, transform, look_back })
    }

    /// Runs the module, and appends the records that it makes to `target`, their offset deltas raised by `shift`.
    fn process(&mut self, input: &Input<'_>, target: &mut Block, shift: i64) -> Result<Verdict, Failure> {
        let version = self.instance.version;
        let mut bytes = encode(input, version);
        let function = match &self.transform {
            Transform::Plain(function) => *function,
            Transform::Aggregate { function, accumulator } => {
                put_bytes(&mut bytes, accumulator);
                *function
            }
        };
        let status = self.instance.call(function, &bytes)?;
        if status < 0 {
            return Err(Failure::other(SmartModuleTransformErrorStatus::try_from(status).unwrap_or_default()));
        }
        let mut output = self.instance.output();
        let made = output
            .block(|record| target.push(record, shift))
            .and_then(|_| if output.bool()? { runtime_error(&mut output, version).map(Some) } else { Ok(None) });
        let error = made.map_err(Failure::other)?;
        if let Transform::Aggregate { accumulator, .. } = &mut self.transform {
            let next = if version >= 16 { output.bytes().map_err(Failure::other)? } else { &[] };
            next.clone_into(accumulator);
        }
        Ok(error)
    }
}

/// What a module says about a record that it cannot handle.
pub(crate) type Verdict = Option<Box<SmartModuleTransformRuntimeError>>;

/// The first of these is what the module is.
fn transform(instance: &Instance, accumulator: Vec<u8>) -> Result<Transform, Failure> {
    for name in ["filter", "map", "filter_map", "array_map"] {
        if let Some(function) = instance.function(name)? {
            return Ok(Transform::Plain(function));
        }
    }
    match instance.function("aggregate")? {
        Some(function) => Ok(Transform::Aggregate { function, accumulator }),
        None => Err(Failure::other("No valid smartmodule found")),
    }
}

fn runtime_error(output: &mut Reader<'_>, version: i16) -> std::io::Result<Box<SmartModuleTransformRuntimeError>> {
    Ok(Box::new(SmartModuleTransformRuntimeError {
        hint: output.string()?,
        offset: output.i64()?,
        kind: SmartModuleKind::decode_from(&mut output.0, version)?,
        record_key: output.optional_data()?.map(Into::into),
        record_value: output.data()?.into(),
    }))
}

fn put_bytes(target: &mut Vec<u8>, bytes: &[u8]) {
    target.extend_from_slice(&i32::try_from(bytes.len()).unwrap_or(i32::MAX).to_be_bytes());
    target.extend_from_slice(bytes);
}

/// The input as a module of a version takes it.
fn encode(input: &Input<'_>, version: i16) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(input.block.len() + 32);
    bytes.extend_from_slice(&input.base_offset.to_be_bytes());
    put_bytes(&mut bytes, input.block);
    if version <= 22 {
        // No parameters, no lookback, no record to join with: fields of the past.
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(if version >= 20 { &[0] } else { &[] });
        bytes.extend_from_slice(if version >= 16 { &[0; 4] } else { &[] });
    }
    if version >= 22 {
        bytes.extend_from_slice(&input.base_time.to_be_bytes());
    }
    bytes
}

impl Chain {
    pub(super) fn new(
        steps: impl Iterator<Item = Result<Step, Failure>>,
        limits: Limits,
        stop: &Stop,
        version: i16,
    ) -> Result<Self, Failure> {
        let links = steps.map(|step| Link::new(step?, limits, stop.clone(), version));
        Ok(Self { links: links.collect::<Result<_, _>>()?, version, stop: stop.clone(), pending: None })
    }

    /// Runs a batch through the chain, and appends the records that come out to `target`, their offset deltas raised by
    /// `shift`. With a verdict these are what the module that gave it has made before.
    pub(crate) fn process(&mut self, input: &Input<'_>, target: &mut Block, shift: i64) -> Result<Verdict, Failure> {
        let Some((last, others)) = self.links.split_last_mut() else {
            read_block(input.block, |record| target.push(record, shift)).map_err(Failure::other)?;
            return Ok(None);
        };
        let mut before: Option<Block> = None;
        for link in others {
            let block = before.as_mut().map_or(input.block, Block::bytes);
            let mut made = Block::new();
            let verdict = link.process(&Input { block, ..*input }, &mut made, 0)?;
            if verdict.is_some() {
                read_block(made.bytes(), |record| target.push(record, shift)).map_err(Failure::other)?;
                return Ok(verdict);
            }
            before = Some(made);
        }
        let block = before.as_mut().map_or(input.block, Block::bytes);
        last.process(&Input { block, ..*input }, target, shift)
    }

    /// Shows each module that wants it the records that its lookback names; `read` appends them.
    pub(crate) fn look_back(
        &mut self,
        mut read: impl FnMut(&Lookback, &mut Block) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        for link in &mut self.links {
            let Some((function, lookback)) = &link.look_back else { continue };
            let mut block = Block::new();
            read(lookback, &mut block)?;
            let input = encode(&Input { base_offset: 0, base_time: 0, block: block.bytes() }, self.version);
            link.instance.look_back(*function, &input)?;
        }
        Ok(())
    }
}
