"""One small source in each of the languages that have a grammar, written to hold what is particular about it.

`definitions` are "kind qualified.name first-last" in order; `references` are "kind name" that have to be found, among others.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    path: str
    source: str
    header: str
    definitions: str
    references: str


SAMPLES = {
    "python": Sample(
        path="session.py",
        header="Sessions that keep their cookies.",
        source='''\
"""Sessions that keep their cookies."""

import asyncio
from http import client as http_client, HTTPStatus
from .errors import *

LIMIT = 10
type Headers = dict[str, str]


# Opened by `connect`.
@dataclass(slots=True)
class Session(Base, Generic[T]):
    """One session."""

    limit: int = LIMIT

    @property
    def name(self) -> str:
        return self._name

    async def request(self, url: Url, *, timeout: float | None = None) -> Response:
        async def attempt() -> Response:
            return await self.transport.send(url)

        return await retry(attempt)


def connect(url: str) -> Session:
    return Session(url)
''',
        definitions="""
variable LIMIT 7-7
type Headers 8-8
class Session 11-26
field Session.limit 16-16
method Session.name 18-20
method Session.request 22-26
function Session.request.attempt 23-24
function connect 29-30
""",
        references="""
import asyncio, import client, import HTTPStatus, call dataclass, inherit Base, inherit Generic, type Response,
call send, call Session
""",
    ),
    "javascript": Sample(
        path="router.js",
        header="Routes requests to handlers.",
        source="""\
// Routes requests to handlers.
import express, { Router as Base } from "express";
const path = require("path");

const DEFAULTS = { strict: false };

/** A router. */
export class MyRouter extends Base {
  #routes = [];
  static create = () => new MyRouter();

  constructor(options) {
    super(options);
  }

  get size() {
    return this.#routes.length;
  }

  async dispatch(request) {
    return handle(request);
  }
}

function handle(request) {
  return path.join(request.url);
}

const mount = async (app) => app.use(handle);

exports.listen = function () {};
MyRouter.prototype.close = function close() {
  this.onClose();
};

export default {
  start() {},
  stop: () => {},
};

describe("MyRouter", () => {
  it("dispatches: once", async () => {
    const build = () => new MyRouter();
  });
});
""",
        definitions="""
variable DEFAULTS 5-5
class MyRouter 7-23
method MyRouter.create 10-10
method MyRouter.constructor 12-14
method MyRouter.size 16-18
method MyRouter.dispatch 20-22
function handle 25-27
function mount 29-29
function listen 31-31
function MyRouter.close 32-34
method start 37-37
function stop 38-38
function build 43-43
""",
        references="""
import express, import Router, inherit Base, call MyRouter, call handle, call join, call use
""",
    ),
    "typescript": Sample(
        path="store.ts",
        header="Keeps records in memory.",
        source="""\
/* eslint-disable no-console */
/**
 * Keeps records in memory.
 */
import { Record, type Key } from "./record";

export interface Store<T extends Record> extends Iterable<T> {
  readonly size: number;
  get(key: Key): T | undefined;
}

export type Listener = (key: Key) => void;

export const enum Level {
  Low,
  High = 2,
}

export abstract class BaseStore<T> implements Store<T> {
  private listeners: Listener[] = [];

  constructor(protected readonly name: string) {}

  abstract get(key: Key): T | undefined;

  @log()
  protected notify(key: Key): void {
    this.listeners.forEach((listener) => listener(key));
  }
}

namespace Stores {
  export function open(name: string): Store<Record> {
    return new MemoryStore(name);
  }
}

export function size(store: Store<Record>): number;
export function size(store: any): number {
  return store.size;
}
""",
        definitions="""
interface Store 7-10
property Store.size 8-8
method Store.get 9-9
type Listener 12-12
enum Level 14-17
constant Level.Low 15-15
constant Level.High 16-16
class BaseStore 19-30
field BaseStore.listeners 20-20
method BaseStore.constructor 22-22
method BaseStore.get 24-24
method BaseStore.notify 26-29
namespace Stores 32-36
function Stores.open 33-35
function size 38-38
function size 39-41
""",
        references="""
import Record, import Key, inherit Iterable, inherit Store, type Listener, call log, call forEach,
call MemoryStore
""",
    ),
    "tsx": Sample(
        path="panel.tsx",
        header="A panel with a title.",
        source="""\
// A panel with a title.
import React, { useState } from "react";

type Props = { title: string };

export function Panel({ title }: Props): JSX.Element {
  const [open, setOpen] = useState(false);
  const toggle = () => setOpen(!open);
  return (
    <Card onClick={toggle}>
      <Title text={title} />
    </Card>
  );
}

export const Empty: React.FC = () => <Panel title="" />;
""",
        definitions="""
type Props 4-4
function Panel 6-14
function Panel.toggle 8-8
function Empty 16-16
""",
        references="""
import React, import useState, type Props, type FC, call useState, call setOpen, call Card, call Title
""",
    ),
    "go": Sample(
        path="pool.go",
        header="Package pool keeps connections open.",
        source="""\
// Package pool keeps connections open.
package pool

import (
	"context"
	log "example.org/log"
)

const (
	small = iota
	large
)

var ErrClosed = errors.New("closed")

// Pool holds connections.
type Pool[T any] struct {
	sync.Mutex
	free []T
}

type Dialer interface {
	Dial(ctx context.Context) (Conn, error)
}

type Option func(*config)

// Get waits for a connection.
func (p *Pool[T]) Get(ctx context.Context) (T, error) {
	return p.wait(ctx)
}

func New(options ...Option) *Pool[Conn] {
	return &Pool[Conn]{}
}
""",
        definitions="""
constant small 10-10
constant large 11-11
variable ErrClosed 14-14
struct Pool 16-20
field Pool.free 19-19
interface Dialer 22-24
method Dialer.Dial 23-23
type Option 26-26
method Pool.Get 28-31
function New 33-35
""",
        references="""
import context, import example.org/log, inherit Mutex, type Context, type Conn, call wait, call New, call Pool
""",
    ),
    "rust": Sample(
        path="cache.rs",
        header="A cache with a limit.",
        source="""\
//! A cache with a limit.

use std::collections::{HashMap, hash_map::Entry};

const LIMIT: usize = 10;

/// Holds values.
#[derive(Debug)]
pub struct Cache<K, V> {
    entries: HashMap<K, V>,
}

pub enum Outcome {
    Hit,
    Miss(usize),
}

pub trait Store {
    type Key;
    fn get(&self, key: &Self::Key) -> Option<u8>;
}

impl<K: Hash, V> Cache<K, V> {
    /// Looks a value up.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }
}

impl<K, V> Drop for Cache<K, V> {
    fn drop(&mut self) {
        log::debug!("dropped");
    }
}

mod shards {
    pub async fn split<T>(all: Vec<T>) -> Vec<T> {
        helper::<T>(all)
    }
}

macro_rules! cached {
    ($x:expr) => { $x };
}

cfg_metrics! {
    pub struct Meter { hits: u64 }
    pub fn measure() -> Meter { Meter { hits: 0 } }
}
""",
        definitions="""
constant LIMIT 5-5
struct Cache 7-11
field Cache.entries 10-10
enum Outcome 13-16
constant Outcome.Hit 14-14
constant Outcome.Miss 15-15
trait Store 18-21
type Store.Key 19-19
method Store.get 20-20
method Cache.get 24-27
method Cache.drop 31-33
module shards 36-40
function shards.split 37-39
macro cached 42-44
struct Meter 47-47
function measure 48-48
""",
        references="""
import HashMap, import Entry, inherit Hash, inherit Drop, type Vec, call get, call debug, call helper,
call cfg_metrics
""",
    ),
    "java": Sample(
        path="Ledger.java",
        header="Keeps entries in order.",
        source="""\
/* Copyright 2020. Licensed under the Apache License. */
package org.example;

import java.util.List;
import static java.util.Objects.requireNonNull;

/** Keeps entries in order. */
@Entity
public final class Ledger<T extends Entry> extends Book implements Closeable, Comparable<Ledger<T>> {
    private static final int LIMIT = 10;
    private List<T> entries, drafts;

    public Ledger(List<T> entries) {
        this.entries = requireNonNull(entries);
    }

    /** Adds one. */
    @Override
    public <R> R add(T entry, Function<T, R> then) {
        return then.apply(entry);
    }

    enum State { OPEN, CLOSED; boolean isOpen() { return this == OPEN; } }

    record Line(int number, String text) {
        Line {
            check(number);
        }
    }

    interface Visitor { void visit(Line line); }

    @interface Audited { String value(); }
}
""",
        definitions="""
class Ledger 7-34
field Ledger.LIMIT 10-10
field Ledger.entries 11-11
field Ledger.drafts 11-11
constructor Ledger.Ledger 13-15
method Ledger.add 17-21
enum Ledger.State 23-23
constant Ledger.State.OPEN 23-23
constant Ledger.State.CLOSED 23-23
method Ledger.State.isOpen 23-23
record Ledger.Line 25-29
constructor Ledger.Line.Line 26-28
interface Ledger.Visitor 31-31
method Ledger.Visitor.visit 31-31
interface Ledger.Audited 33-33
method Ledger.Audited.value 33-33
""",
        references="""
import List, import requireNonNull, inherit Book, inherit Closeable, inherit Comparable, type Entry,
call requireNonNull, call Override, call apply
""",
    ),
    "c": Sample(
        path="queue.c",
        header="A queue without locks.",
        source="""\
/* A queue without locks. */
#include <stdio.h>
#include "queue.h"

#define CAPACITY 64
#define NEXT(i) (((i) + 1) % CAPACITY)

typedef struct node {
  struct node *next;
  int value;
} node_t;

union word { int i; char c[4]; };

enum state { EMPTY, FULL };

typedef int (*compare_fn)(const void *, const void *);

static int count = 0;

static void link_node(node_t *node);

/* Adds one. */
int
queue_push(node_t *node, int value)
{
  node->value = value;
  link_node(node);
  return printf("%d", value);
}

static node_t *queue_pop(void) {
  return head(&count);
}
""",
        definitions="""
constant CAPACITY 5-5
macro NEXT 6-6
struct node 8-11
struct node_t 8-11
field node_t.next 9-9
field node_t.value 10-10
struct word 13-13
enum state 15-15
constant state.EMPTY 15-15
constant state.FULL 15-15
type compare_fn 17-17
variable count 19-19
prototype link_node 21-21
function queue_push 23-30
function queue_pop 32-34
""",
        references="""
import stdio.h, import queue.h, type node_t, call link_node, call printf, call head
""",
    ),
    "cpp": Sample(
        path="shape.hpp",
        header="Shapes with areas.",
        source="""\
// Shapes with areas.
#pragma once
#include <vector>

namespace geometry::plane {

template <typename T>
class Shape : public Base<T>, private detail::Counted {
 public:
  Shape() = default;
  virtual ~Shape() {}
  virtual T area() const = 0;
  bool operator==(const Shape& other) const { return area() == other.area(); }
  static int count;

 private:
  T size_;
};

struct Point { int x, y; };

enum class Colour { Red, Green };

using Points = std::vector<Point>;

template <>
struct hash<Point> { size_t operator()(const Point& p) const { return p.x; } };

}  // namespace geometry::plane

int geometry::plane::Circle::radius() const {
  auto made = std::make_unique<Point>();
  return convert<int>(made->x) + new Point{};
}

TEST(CircleTest, HasARadius) {
  check();
}
""",
        definitions="""
class geometry.plane.Shape 7-18
method geometry.plane.Shape.Shape 10-10
method geometry.plane.Shape.~Shape 11-11
prototype geometry.plane.Shape.area 12-12
method geometry.plane.Shape.operator== 13-13
field geometry.plane.Shape.count 14-14
field geometry.plane.Shape.size_ 17-17
struct geometry.plane.Point 20-20
field geometry.plane.Point.x 20-20
field geometry.plane.Point.y 20-20
enum geometry.plane.Colour 22-22
constant geometry.plane.Colour.Red 22-22
constant geometry.plane.Colour.Green 22-22
type geometry.plane.Points 24-24
struct geometry.plane.hash 26-27
method geometry.plane.hash.operator() 27-27
function geometry.plane.Circle.radius 31-34
""",
        references="""
import vector, inherit Base, inherit Counted, type Shape, call area, call make_unique, call convert, call Point,
call check
""",
    ),
    "csharp": Sample(
        path="Cart.cs",
        header="What a customer is about to buy.",
        source="""\
// What a customer is about to buy.
using System.Linq;
using Json = System.Text.Json;

namespace Shop.Orders;

/// <summary>A cart.</summary>
[Serializable]
public sealed class Cart : Basket<Item>, IDisposable
{
    private readonly List<Item> _items = new();
    public event EventHandler? Changed;

    public Cart(Customer owner) => Owner = owner;

    public Customer Owner { get; init; }

    public decimal Total() => _items.Sum(item => item.Price);

    public async Task<int> AddAsync<T>(T item, CancellationToken token)
    {
        int Local(int x) => x + 1;
        Changed?.Invoke(this, EventArgs.Empty);
        return await Store.Save<T>(item);
    }

    public static Cart operator +(Cart left, Cart right) => left;

    ~Cart() { }
}

public record Line(string Name, int Count);
public struct Size { public int Width; }
public interface IStore { void Save(Cart cart); }
public enum State { Open, Closed = 3 }
public delegate void Handler(Cart cart);
""",
        definitions="""
class Cart 7-30
field Cart._items 11-11
property Cart.Changed 12-12
constructor Cart.Cart 14-14
property Cart.Owner 16-16
method Cart.Total 18-18
method Cart.AddAsync 20-25
function Cart.AddAsync.Local 22-22
method Cart.+ 27-27
method Cart.Cart 29-29
record Line 32-32
struct Size 33-33
field Size.Width 33-33
interface IStore 34-34
method IStore.Save 34-34
enum State 35-35
constant State.Open 35-35
constant State.Closed 35-35
type Handler 36-36
""",
        references="""
import Linq, import Json, call Serializable, inherit Basket, inherit IDisposable, type Customer, call Sum,
call Invoke, call Save
""",
    ),
    "ruby": Sample(
        path="account.rb",
        header="Money that belongs to somebody.",
        source="""\
# frozen_string_literal: true

# Money that belongs to somebody.
require "json"
require_relative "base"

module Bank
  class Account < Base::Record
    include Comparable
    LIMIT = 10
    attr_reader :balance, :owner

    def initialize(owner)
      @owner = Owner.new(owner)
    end

    # Takes money out.
    def withdraw!(amount)
      raise Broke if amount > balance
      log amount
    end

    def self.open(name) = new(name)

    class << self
      def closed?
        true
      end
    end

    alias take withdraw!
    define_method(:give) { |amount| withdraw!(-amount) }
  end
end

def main
  Bank::Account.open("a")
end

describe Bank::Account do
  it "starts empty: 0.0" do
    expect(main).to be_empty
  end
end
""",
        definitions="""
module Bank 7-34
class Bank.Account 8-33
constant Bank.Account.LIMIT 10-10
property Bank.Account.balance 11-11
property Bank.Account.owner 11-11
method Bank.Account.initialize 13-15
method Bank.Account.withdraw! 17-21
method Bank.Account.open 23-23
method Bank.Account.closed? 26-28
method Bank.Account.take 31-31
method Bank.Account.give 32-32
function main 36-38
""",
        references="""
import json, import base, inherit Record, inherit Comparable, type Owner, call new, call log, call withdraw!,
call open
""",
    ),
    "php": Sample(
        path="Mailer.php",
        header="Sends mail.",
        source=r"""<?php
/**
 * Sends mail.
 */
namespace App\Mail;

use Psr\Log\LoggerInterface;
use App\{Queue, Support\Clock as Time};

const RETRIES = 3;
define('MAIL_DEBUG', false);

interface Sender { public function send(Message $message): bool; }

trait Counts { private int $sent = 0; }

/** A mailer. */
#[Service]
final class Mailer extends Base implements Sender
{
    use Counts;

    const LIMIT = 10;
    public ?string $from = null;

    public function __construct(private LoggerInterface $logger) {}

    /** Sends one. */
    public static function send(Message $message): bool
    {
        $job = new Job($message);
        self::log($job);
        $this->queue->push($job);
        return helper\format($message) ?? strlen($message);
    }
}

enum Status: string { case Sent = 'sent'; public function label(): string { return ''; } }

function mailer(): Mailer { return new Mailer(null); }
""",
        definitions="""
constant RETRIES 10-10
constant MAIL_DEBUG 11-11
interface Sender 13-13
method Sender.send 13-13
trait Counts 15-15
property Counts.sent 15-15
class Mailer 17-36
constant Mailer.LIMIT 23-23
property Mailer.from 24-24
method Mailer.__construct 26-26
property Mailer.logger 26-26
method Mailer.send 28-35
enum Status 38-38
constant Status.Sent 38-38
method Status.label 38-38
function mailer 40-40
""",
        references="""
import LoggerInterface, import Queue, import Clock, inherit Base, inherit Sender, inherit Counts, type Message,
call Job, call log, call push, call format, call strlen, call Service
""",
    ),
    "kotlin": Sample(
        path="Timer.kt",
        header="Timers that can be stopped.",
        source="""\
// Timers that can be stopped.
package org.example

import kotlinx.coroutines.delay
import org.example.clock.Clock as Time

const val TICK = 100

typealias Callback = (Timer) -> Unit

/** Counts down. */
@Serializable
data class Timer<T : Any>(val name: String, var left: Int = 3) : Base<T>(name), Runnable {
    val isDone: Boolean get() = left == 0

    init {
        register(this)
    }

    override suspend fun run() {
        delay(10)
        Listener.notify(this)
    }

    companion object {
        fun create(): Timer<Any> = Timer("a")
    }
}

interface Listener { fun onTick(timer: Timer<*>) }

enum class State { RUNNING, STOPPED; fun next(): State = STOPPED }

object Registry { private val timers = mutableListOf<Timer<*>>() }

fun <T> List<T>.second(): T = this[1]

val String.shouted: String get() = uppercase()
""",
        definitions="""
variable TICK 7-7
type Callback 9-9
class Timer 11-28
property Timer.name 13-13
property Timer.left 13-13
property Timer.isDone 14-14
method Timer.run 20-23
method Timer.create 26-26
interface Listener 30-30
method Listener.onTick 30-30
enum State 32-32
constant State.RUNNING 32-32
constant State.STOPPED 32-32
method State.next 32-32
object Registry 34-34
property Registry.timers 34-34
function List.second 36-36
property String.shouted 38-38
""",
        references="""
import delay, import Clock, call Serializable, call Base, inherit Runnable, type Timer, call delay, call notify,
call uppercase
""",
    ),
    "swift": Sample(
        path="Feed.swift",
        header="Shows entries as they come.",
        source="""\
//
//  Feed.swift
//
//  Copyright (c) 2020 Somebody. All rights reserved.
//
// Shows entries as they come.

import Foundation

let limit = 10

/// A feed.
@MainActor
public final class Feed<Item: Hashable>: Base, Sequence {
    private var items: [Item] = []
    static let shared = Feed<String>()

    public init(items: [Item]) throws {
        self.items = items
    }

    deinit { close() }

    func append(_ item: Item, to section: Section? = nil) async -> Bool {
        return items.insert(item)
    }

    subscript(index: Int) -> Item { items[index] }

    enum Failure: Error { case empty, tooLarge(Int) }
}

protocol Source: AnyObject {
    associatedtype Entry
    var count: Int { get }
    func load() -> [Entry]
}

extension Feed: Equatable {
    static func == (left: Feed, right: Feed) -> Bool { true }
    func reload() { Loader().load() }
}

struct Page { typealias Number = Int; let number: Number }

actor Cache { func clear() {} }

func makeFeed() -> Feed<String> { Feed(items: []) }
""",
        definitions="""
variable limit 10-10
class Feed 12-31
property Feed.items 15-15
property Feed.shared 16-16
method Feed.init 18-20
method Feed.deinit 22-22
method Feed.append 24-26
method Feed.subscript 28-28
enum Feed.Failure 30-30
constant Feed.Failure.empty 30-30
constant Feed.Failure.tooLarge 30-30
protocol Source 33-37
type Source.Entry 34-34
property Source.count 35-35
method Source.load 36-36
method Feed.== 40-40
method Feed.reload 41-41
struct Page 44-44
type Page.Number 44-44
property Page.number 44-44
class Cache 46-46
method Cache.clear 46-46
function makeFeed 48-48
""",
        references="""
import Foundation, inherit Base, inherit Sequence, inherit Equatable, type Section, call insert, call close,
call Loader, call load
""",
    ),
    "scala": Sample(
        path="Tree.scala",
        header="Trees with values.",
        source="""\
// Trees with values.
package org.example

import scala.collection.mutable.{ArrayBuffer, Map => MutableMap}
import cats.syntax.all._

/** A tree. */
sealed abstract class Tree[+A](val size: Int) extends Product with Serializable {
  def depth: Int = children.map(_.depth).max

  /** All children. */
  def children: List[Tree[A]] = {
    def go(tree: Tree[A]): List[Tree[A]] = Nil
    go(this)
  }

  protected val empty = new ArrayBuffer[A]()
  type Id = Int
}

object Tree {
  final case class Leaf[A](value: A) extends Tree[A](1)

  def leaf[A](value: A): Tree[A] = Leaf(value)

  given ordering: Ordering[Int] = Ordering.Int
}

trait Walk[F[_]] {
  def walk[A](tree: Tree[A]): F[A]
}

enum Colour {
  case Red, Green
}

class TreeSuite extends Suite {
  test("a leaf: has depth 1") {
    assertEquals(Tree.leaf(1).depth, 1)
  }
}
""",
        definitions="""
class Tree 7-19
method Tree.depth 9-9
method Tree.children 11-15
function Tree.children.go 13-13
property Tree.empty 17-17
type Tree.Id 18-18
object Tree 21-27
class Tree.Leaf 22-22
method Tree.leaf 24-24
object Tree.ordering 26-26
trait Walk 29-31
method Walk.walk 30-30
enum Colour 33-35
constant Colour.Red 34-34
constant Colour.Green 34-34
class TreeSuite 37-41
""",
        references="""
import ArrayBuffer, import Map, inherit Product, inherit Tree, inherit Suite, type Ordering, call map, call go,
call ArrayBuffer, call Leaf
""",
    ),
    "bash": Sample(
        path="deploy.sh",
        header="Deploys to a host.",
        source="""\
#!/bin/bash
# shellcheck disable=SC2034
# Deploys to a host.
set -euo pipefail
source ./lib.sh

TARGET="production"
export REGION=eu

# Says what is going on.
log() {
  echo "$1" >&2
}

function deploy {
  local host="$1"
  log "to $host"
  build_image "$host" | push_image
}

deploy "$@"
""",
        definitions="""
variable TARGET 7-7
variable REGION 8-8
function log 10-13
function deploy 15-19
""",
        references="""
import ./lib.sh, call log, call build_image, call push_image, call deploy
""",
    ),
    "lua": Sample(
        path="menu.lua",
        header="Menus with entries.",
        source="""\
-- Menus with entries.
local util = require("app.util")
local M = {}

M.limit = 10
local size = 3

--- Opens a menu.
function M.open(name)
  return util.find(name)
end

function M:close()
  self:hide()
end

local function draw(menu)
  render(menu)
end

M.toggle = function(menu)
  draw(menu)
end

local handlers = {
  on_key = function(key) end,
}

describe("menu", function()
  it("opens. And closes", function()
    M.open("a")
  end)
end)

return M
""",
        definitions="""
variable M 3-3
field M.limit 5-5
variable size 6-6
function M.open 8-11
method M.close 13-15
function draw 17-19
function M.toggle 21-23
variable handlers 25-27
function handlers.on_key 26-26
""",
        references="""
import app.util, call find, call hide, call render, call draw, call open
""",
    ),
    "elixir": Sample(
        path="counter.ex",
        header="Counts things.",
        source=r'''defmodule App.Counter do
  @moduledoc """
  Counts things.
  """
  use GenServer
  alias App.{Clock, Store}
  import Enum

  defstruct [:value]

  @type t :: %__MODULE__{value: integer}
  @callback flush(t) :: :ok

  @doc "Starts it."
  @spec start(keyword) :: {:ok, pid}
  def start(options \\ []) do
    GenServer.start_link(__MODULE__, options)
  end

  def add(counter, n) when n > 0, do: send_to(counter, n)
  def add(counter, _), do: counter

  defp send_to(counter, n) do
    Store.put(counter, n)
  end

  defmacro counted(block) do
    quote do: unquote(block)
  end
end

defprotocol App.Sized do
  def size(value)
end

defimpl App.Sized, for: App.Counter do
  def size(counter), do: counter.value
end

defmodule App.CounterTest do
  test "adds. Twice", %{a: a} do
    helper(a)
  end

  defp helper(a), do: a
end
''',
        definitions="""
module App.Counter 1-30
type App.Counter.t 11-11
callback App.Counter.flush 12-12
function App.Counter.start 14-18
function App.Counter.add 20-21
function App.Counter.send_to 23-25
macro App.Counter.counted 27-29
protocol App.Sized 32-34
method App.Sized.size 33-33
method App.Sized.size 37-37
module App.CounterTest 40-46
function App.CounterTest.helper 45-45
""",
        references="""
inherit GenServer, import Clock, import Store, import Enum, type Store, call start_link, call send_to, call put,
name start
""",
    ),
    "haskell": Sample(
        path="Parser.hs",
        header="Parses expressions.",
        source="""\
{-# LANGUAGE LambdaCase #-}
-- | Parses expressions.
module Parser (parse, Expr (..)) where

import Data.Map (Map, fromList)
import qualified Data.Text as T

-- | An expression.
data Expr
  = Number Int
  | Add { left :: Expr, right :: Expr }
  deriving (Show, Eq)

newtype Parser a = Parser { runParser :: String -> Maybe a }

type Env = Map String Expr

class Pretty a where
  pretty :: a -> String
  pretty _ = ""

instance Pretty Expr where
  pretty (Number n) = show n
  pretty (Add l r) = pretty l <> pretty r

-- | Evaluates.
eval :: Env -> Expr -> Int
eval _ (Number n) = n
eval env (Add l r) = eval env l + go r
  where
    go x = eval env x
    one = 1
    both =
      T.length
        (T.pack "ab")

infixl 6 |+|
(|+|) :: Expr -> Expr -> Expr
a |+| b = Add a b

eval' :: Expr -> Int
eval' e = eval' (Add e e)
""",
        definitions="""
type Expr 8-12
constant Expr.Number 10-10
constant Expr.Add 11-11
field Expr.Add.left 11-11
field Expr.Add.right 11-11
type Parser 14-14
constant Parser.Parser 14-14
field Parser.Parser.runParser 14-14
type Env 16-16
class Pretty 18-20
method Pretty.pretty 19-20
function Pretty.pretty 23-24
function eval 26-35
function eval.go 31-31
function eval.both 33-35
function |+| 38-39
function eval' 41-42
""",
        references="""
import Map, import fromList, import Text, inherit Show, inherit Pretty, type Expr, call pretty, call length,
call pack, call eval'
""",
    ),
    "zig": Sample(
        path="ring.zig",
        header="A ring buffer.",
        source="""\
//! A ring buffer.
const std = @import("std");
const Allocator = std.mem.Allocator;

pub const capacity: usize = 16;

/// Holds bytes.
pub const Ring = struct {
    data: []u8,
    head: usize = 0,

    const Self = @This();

    pub fn init(allocator: Allocator) !Ring {
        return Ring{ .data = try allocator.alloc(u8, capacity) };
    }

    /// Adds one.
    pub fn push(self: *Self, byte: u8) void {
        advance(self);
    }
};

const Mode = enum { open, closed };

const Failure = error{ Full, Empty };

fn advance(ring: *Ring) void {
    ring.head += 1;
}

test "push. Moves the head" {
    try std.testing.expect(true);
}
""",
        definitions="""
variable Allocator 3-3
variable capacity 5-5
struct Ring 7-22
field Ring.data 9-9
field Ring.head 10-10
constant Ring.Self 12-12
method Ring.init 14-16
method Ring.push 19-21
enum Mode 24-24
enum Failure 26-26
function advance 28-30
""",
        references="""
import std, type Allocator, type Self, call alloc, call advance, call expect
""",
    ),
}
