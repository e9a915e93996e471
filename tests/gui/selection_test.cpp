// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/selection/selection.h"

#include <QTest>

using namespace rankscope::views;

class SelectionTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void numberSets();
    void undoAndRedo();
    void dropsWhatARunLacks();
    void chosenAloneAddedAndBetween();
    void followsLive();
};

void SelectionTest::numberSets()
{
    QCOMPARE(formatNumberSet({8, 9, 10, 20}), QStringLiteral("8-10, 20"));
    QCOMPARE(parseNumberSet(QStringLiteral("8-10, 20, x, 99"), 30), (std::set<int>{8, 9, 10, 20}));
    QCOMPARE(parseNumberSet(QStringLiteral("0-1000000000"), 4), (std::set<int>{0, 1, 2, 3}));
}

void SelectionTest::undoAndRedo()
{
    Selection selection;
    selection.setLayers({3});
    selection.setTasks({QStringLiteral("boolq")});
    selection.clear();
    QVERIFY(selection.state().empty());
    selection.undo();
    QCOMPARE(selection.layers(), std::set<int>{3});
    QCOMPARE(selection.tasks(), QStringList{QStringLiteral("boolq")});
    selection.undo();
    QVERIFY(selection.tasks().isEmpty());
    selection.redo();
    QCOMPARE(selection.tasks(), QStringList{QStringLiteral("boolq")});
    selection.setLayers({4});
    QVERIFY(!selection.canRedo());
}

void SelectionTest::dropsWhatARunLacks()
{
    Selection selection;
    selection.setTasks({QStringLiteral("math")});
    selection.setState(
        {{3, 20}, {1, 9}, {QStringLiteral("q_proj"), QStringLiteral("w1")}, {QStringLiteral("letters")}});
    int changes = 0;
    connect(&selection, &Selection::changed, this, [&changes] { ++changes; });
    selection.setSelectable(Selectable{10, 8, {QStringLiteral("q_proj")}, {QStringLiteral("math")}});
    QCOMPARE(changes, 1);
    QCOMPARE(selection.state(), (SelectionState{{3}, {1}, {QStringLiteral("q_proj")}, {}}));
    selection.setTasks({QStringLiteral("letters")});
    QVERIFY(selection.tasks().isEmpty());
    selection.undo();
    QCOMPARE(selection.tasks(), QStringList{QStringLiteral("math")});
    selection.redo();
    QVERIFY(selection.tasks().isEmpty());
}

void SelectionTest::chosenAloneAddedAndBetween()
{
    const QStringList tasks = {QStringLiteral("arc"), QStringLiteral("boolq"), QStringLiteral("math"),
                               QStringLiteral("letters")};
    const QStringList modules = {QStringLiteral("q_proj"), QStringLiteral("up_proj"),
                                 QStringLiteral("down_proj")};
    const auto cell = [&](int layer, int module) {
        return SelectionState{{layer}, {}, {modules[module]}, {}};
    };
    Selection selection;
    selection.setSelectable(Selectable{30, 8, modules, tasks});
    const auto choose = [&selection](const SelectionState& pointed, Qt::KeyboardModifiers modifiers = {}) {
        selection.choose(pointed, modifiers);
        return selection.state();
    };
    // Names go by the run's order, as numbers do by theirs; what is not pointed at stays.
    choose({{}, {2}, {}, {tasks[3]}});
    QCOMPARE(choose({{}, {}, {}, {tasks[1]}}, Qt::ShiftModifier),
             (SelectionState{{}, {2}, {}, {tasks[1], tasks[2], tasks[3]}}));
    QCOMPARE(choose({{}, {}, {}, {tasks[2]}}, Qt::ControlModifier),
             (SelectionState{{}, {2}, {}, {tasks[1], tasks[3]}}));
    QCOMPARE(choose({{}, {5}, {}, {}}, Qt::ShiftModifier),
             (SelectionState{{}, {2, 3, 4, 5}, {}, {tasks[1], tasks[3]}}));
    QCOMPARE(choose({{}, {1}, {}, {tasks[0]}}), (SelectionState{{}, {1}, {}, {tasks[0]}}));
    QCOMPARE(choose({{}, {1}, {}, {tasks[0]}}, Qt::ControlModifier), SelectionState());
    // Cells of one row: its module stays until the last of them goes.
    choose(cell(11, 2));
    QCOMPARE(choose(cell(13, 2), Qt::ControlModifier), (SelectionState{{11, 13}, {}, {modules[2]}, {}}));
    QCOMPARE(choose(cell(11, 2), Qt::ControlModifier), cell(13, 2));
    QCOMPARE(choose(cell(13, 2), Qt::ControlModifier), SelectionState());
    QCOMPARE(choose(cell(4, 0), Qt::ShiftModifier), cell(4, 0)); // nothing to reach from
    QCOMPARE(choose(cell(6, 2), Qt::ShiftModifier), (SelectionState{{4, 5, 6}, {}, modules, {}}));
}

void SelectionTest::followsLive()
{
    Selection selection;
    selection.setNewestStep(10);
    QCOMPARE(selection.step(), std::int64_t(10));
    selection.setStep(4);
    QVERIFY(!selection.live());
    selection.setNewestStep(20);
    QCOMPARE(selection.step(), std::int64_t(4));
    selection.setLive(true);
    QCOMPARE(selection.step(), std::int64_t(20));
    selection.setNewestStep(15); // rewound
    QCOMPARE(selection.step(), std::int64_t(15));
}

QTEST_MAIN(SelectionTest)
#include "selection_test.moc"
