// SPDX-License-Identifier: GPL-3.0-or-later
// The views' models against what the sample run is known to hold.
#include "tests/gui/sample_run.h"
#include "views/effective_rank/rank_model.h"
#include "views/export/measure_table.h"
#include "views/mpo/mpo_model.h"
#include "views/mpo/tensor_train_diagram.h"
#include "views/routing/routing_model.h"
#include "views/training/training_model.h"

#include <QTest>

#include <cmath>
#include <limits>

using namespace rankscope;
using namespace rankscope::views;
using namespace rankscope::tests;

class ModelsTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void lossIsTheRecords();
    void appendingEqualsLoadingAtOnce();
    void evaluationBeforeAndNow();
    void beforeIsTheBaseModelOnly();
    void tokensSeenAlongTheLosses();
    void accuracySaysOfHowManyRows();
    void rankMapAndCurves();
    void attentionHasNoExperts();
    void loadIsTheMeanOverTasks();
    void loadByTaskOverChosenLayers();
    void unknownTaskIsNotAllTasks();
    void valuesNameTheStepTheyWereMeasuredAt();
    void firstModuleIsOneThatWasMeasured();
    void operatorsNameStepAndShare();
    void columnsAreNamedAlike();
    void loraHasNoRouting();
    void tensorTrainShape();
    void operatorsOpenWhereTheyWereMeasured();
    void emptyRunShowsNothing();

private:
    record::RunRecord m_mixlora = sampleRun();
};

void ModelsTest::lossIsTheRecords()
{
    TrainingModel model;
    model.setSmoothing(0);
    model.setRun(&m_mixlora);
    const auto points = model.plot(TrainingModel::Loss).curves[0].data.points(0, 300, 10'000);
    QCOMPARE(points.size(), 200);
    for (const QPointF& point : points)
        QCOMPARE(float(point.y()), sampleLoss(std::int64_t(point.x())));
    QCOMPARE(model.table(TrainingModel::Loss).rows.size(), std::size_t(200));
    QCOMPARE(model.table(TrainingModel::Loss).rows[41][1].toFloat(), sampleLoss(42));
}

void ModelsTest::appendingEqualsLoadingAtOnce()
{
    SampleOptions options;
    options.done = 60;
    record::RunRecord live = sampleRun(options);
    TrainingModel training;
    training.setRun(&live);
    RankModel rank;
    rank.setRun(&live);
    for (std::int64_t step = 61; step <= 200; ++step) {
        appendSampleStep(live, options, step);
        training.append();
        rank.append();
    }
    TrainingModel whole;
    whole.setRun(&m_mixlora);
    RankModel wholeRank;
    wholeRank.setRun(&m_mixlora);
    for (int chart = 0; chart < TrainingModel::chartCount; ++chart) {
        const CurvePlot& a = training.plot(TrainingModel::Chart(chart));
        const CurvePlot& b = whole.plot(TrainingModel::Chart(chart));
        QCOMPARE(a.curves.size(), b.curves.size());
        for (std::size_t c = 0; c < a.curves.size(); ++c)
            QCOMPARE(a.curves[c].data.points(0, 300, 10'000), b.curves[c].data.points(0, 300, 10'000));
    }
    QCOMPARE(rank.curves().band.median.points(0, 300, 1000),
             wholeRank.curves().band.median.points(0, 300, 1000));
    QCOMPARE(rank.map(200, false).minimum, wholeRank.map(200, false).minimum);
}

void ModelsTest::evaluationBeforeAndNow()
{
    TrainingModel model;
    model.setRun(&m_mixlora);
    const auto before = model.evaluation(50); // only the base model has been evaluated by then
    QCOMPARE(before.size(), std::size_t(6));
    QCOMPARE(before[1].task, QStringLiteral("arc-easy"));
    QCOMPARE(before[1].accuracyBefore, 0.41F);
    QVERIFY(std::isnan(before[1].accuracyNow));
    const auto after = model.evaluation(200);
    QCOMPARE(after[5].accuracyBefore, 0.08F);
    QVERIFY(std::abs(after[5].accuracyNow - (0.08F + 0.61F * (1 - std::exp(-3.0F)))) < 1e-5F);
    const BarPlot bars = model.evaluationBars(200);
    QCOMPARE(bars.series.size(), std::size_t(2));
    QCOMPARE(bars.series[1].label, QStringLiteral("step 200"));
    QCOMPARE(bars.series[0].values[2], 52.0F);
    QVERIFY(bars.series[0].reference && !bars.series[1].reference);
    const BarPlot alone = model.evaluationBars(50);
    QCOMPARE(alone.series.size(), std::size_t(1));
    QVERIFY(alone.series[0].reference); // it keeps its colour while the step moves
}

void ModelsTest::beforeIsTheBaseModelOnly()
{
    record::RunRecord run;
    run.define({"eval/accuracy", "Accuracy", "", "", {{"task", "", {"a"}}}});
    const auto add = [&run](std::int64_t step, float value) {
        run.mutableMeasure("eval/accuracy")->append(step, {&value, 1});
    };
    add(50, 0.25F); // evaluation.before was off
    add(100, 0.5F);
    TrainingModel model;
    model.setRun(&run);
    QVERIFY(std::isnan(model.evaluation(100)[0].accuracyBefore));
    QCOMPARE(model.evaluation(60)[0].accuracyNow, 0.25F);
    QVERIFY(std::isnan(model.evaluation(40)[0].accuracyNow));
    const BarPlot bars = model.evaluationBars(100);
    QCOMPARE(bars.series.size(), std::size_t(1));
    QCOMPARE(bars.series[0].label, QStringLiteral("step 100"));
    QVERIFY(!model.evaluationBars(40).hasValues());
}

void ModelsTest::tokensSeenAlongTheLosses()
{
    record::RunRecord run;
    for (const char* name : {"train/loss", "train/tokens_seen", "train/memory"})
        run.define({name, "", "", "", {}});
    for (std::int64_t step = 1; step <= 10; ++step)
        for (const char* name : {"train/loss", "train/tokens_seen", "train/memory"}) {
            const float value = 1500.0F * static_cast<float>(step);
            run.mutableMeasure(name)->append(step, {&value, 1});
        }
    TrainingModel model;
    model.setRun(&run);
    QVERIFY(!model.plot(TrainingModel::Loss).topLabel);
    model.setTokensShown(true);
    QCOMPARE(model.plot(TrainingModel::Loss).topLabel(8), QStringLiteral("12.0 k"));
    QCOMPARE(model.plot(TrainingModel::Loss).topLabel(0), QStringLiteral("0"));
    QVERIFY(!model.plot(TrainingModel::Memory).topLabel);
    model.setSmoothing(0.5); // makes the plots anew
    QCOMPARE(model.plot(TrainingModel::Loss).topLabel(2), QStringLiteral("3000"));
}

void ModelsTest::accuracySaysOfHowManyRows()
{
    record::RunRecord run;
    run.define({"eval/accuracy", "Accuracy", "", "", {{"task", "", {"a", "b"}}}});
    const float values[] = {0.5F, 0.25F};
    run.mutableMeasure("eval/accuracy")->append(0, values);
    TrainingModel model;
    model.setRun(&run);
    QCOMPARE(model.evaluationBars(0).title, QStringLiteral("Accuracy by task"));
    run.description.data = {{"a.json", "", 300, "a", "train"}, {"at.json", "", 50, "a", "test"}};
    QVERIFY(model.evaluationBars(0).title.endsWith(QStringLiteral(", 50 test rows each")));
    run.description.data.push_back({"bt.json", "", 80, "b", "test"});
    QVERIFY(model.evaluationBars(0).title.endsWith(QStringLiteral(", 50 to 80 test rows each")));

    record::RunRecord untested;
    model.setRun(&untested);
    const QString yetToCome = model.evaluationBars(0).emptyText;
    untested.description.data = {{"a.json", "", 300, "a", "train"}};
    QVERIFY(model.evaluationBars(0).emptyText.contains(QStringLiteral("no test files")));
    untested.description.data.push_back({"at.json", "", 50, "a", "test"});
    QCOMPARE(model.evaluationBars(0).emptyText, yetToCome);
}

void ModelsTest::rankMapAndCurves()
{
    RankModel model;
    model.setRun(&m_mixlora);
    model.setModule(QStringLiteral("up_proj"));
    model.setExpert(3);
    const HeatMap map = model.map(104, false); // between two measured steps: the one before counts
    QCOMPARE(map.rows(), 30);
    QCOMPARE(map.columns(), 7);
    QCOMPARE(map.value(12, 5), sampleRank("rank/entropy", 12, 5, 3, 100));
    const auto points = model.curves().curves[12].data.points(0, 300, 1000);
    QCOMPARE(points.size(), 20);
    QCOMPARE(float(points[9].y()), sampleRank("rank/entropy", 12, 5, 3, 100));
    QCOMPARE(model.curves().curves[12].name, QStringLiteral("model.layers.12.mlp.up_proj, expert 3"));
    QVERIFY(model.curves().showBand);
    model.setMeasure(QStringLiteral("rank/stable"));
    QCOMPARE(model.map(100, false).value(0, 5), sampleRank("rank/stable", 0, 5, 3, 100));
    // The scale is the whole run's and does not move with the step.
    QCOMPARE(model.map(10, false).maximum, model.map(200, false).maximum);
    QVERIFY(model.map(10, true).maximum < model.map(200, true).maximum);
}

void ModelsTest::attentionHasNoExperts()
{
    RankModel model;
    model.setRun(&m_mixlora);
    QCOMPARE(model.map(200, false).value(4, 0), sampleRank("rank/entropy", 4, 0, 0, 200));
    model.setExpert(5);
    QVERIFY(std::isnan(model.map(200, false).value(4, 0)));
    QVERIFY(std::isfinite(model.map(200, false).value(4, 6)));
    QVERIFY(model.reading(4, 0, 200).contains(QStringLiteral("no experts")));
}

void ModelsTest::loadIsTheMeanOverTasks()
{
    RoutingModel model;
    model.setRun(&m_mixlora);
    const SampleOptions options;
    const HeatMap all = model.loadByLayer(200, {}, false);
    QCOMPARE(all.rows(), 8);
    QCOMPARE(all.columns(), 30);
    double mean = 0;
    for (int task = 0; task < 6; ++task)
        mean += sampleLoad(9, 4, task, 200, options) / 6.0;
    QVERIFY(std::abs(all.value(4, 9) - mean) < 1e-6);
    QCOMPARE(model.loadByLayer(200, {QStringLiteral("math")}, false).value(4, 9),
             sampleLoad(9, 4, 3, 200, options));
    // Shares of a layer add up to one.
    double sum = 0;
    for (int expert = 0; expert < 8; ++expert)
        sum += all.value(expert, 9);
    QVERIFY(std::abs(sum - 1) < 1e-5);
}

void ModelsTest::loadByTaskOverChosenLayers()
{
    RoutingModel model;
    model.setRun(&m_mixlora);
    SelectionState state;
    state.layers = {2, 3};
    model.setSelection(state);
    const SampleOptions options;
    const HeatMap map = model.loadByTask(200, false);
    const float expected = (sampleLoad(2, 1, 5, 200, options) + sampleLoad(3, 1, 5, 200, options)) / 2;
    QVERIFY(std::abs(map.value(1, 5) - expected) < 1e-6F);
    QVERIFY(map.title.contains(QStringLiteral("layers 2, 3")));
}

void ModelsTest::unknownTaskIsNotAllTasks()
{
    RoutingModel model;
    model.setRun(&m_mixlora);
    const HeatMap map = model.loadByLayer(200, {QStringLiteral("letters")}, false);
    QVERIFY(!map.hasValues());
    QVERIFY(map.title.contains(QStringLiteral("letters")));
}

void ModelsTest::valuesNameTheStepTheyWereMeasuredAt()
{
    RankModel rank;
    rank.setRun(&m_mixlora);
    rank.setExpert(3);
    QCOMPARE(rank.map(104, false).note, QStringLiteral("measured at step 100, 3 of 7 modules measured"));
    QVERIFY(rank.reading(4, 6, 104).contains(QStringLiteral("measured at step 100\nexpert 3: ")));
    rank.setExpert(-1);
    QCOMPARE(rank.map(100, false).note, QString()); // attention has no experts to have a part of
    QVERIFY(rank.reading(4, 6, 100).contains(QStringLiteral("measured at step 100")));
    RoutingModel routing;
    routing.setRun(&m_mixlora);
    QCOMPARE(routing.loadByLayer(200, {}, false).note, QString());
    QCOMPARE(routing.loadByTask(199, false).note, QStringLiteral("measured at step 190"));
    QVERIFY(routing.reading(1, 2, 199).contains(QStringLiteral("measured at step 190")));
    QVERIFY(
        routing.readingByTask(1, 2, 199).contains(QStringLiteral("expert 1, boolq\nmeasured at step 190")));

    // Experts that take turns say of each when it was measured.
    record::RunRecord run;
    run.define({"rank/entropy",
                "Entropy",
                "",
                "",
                {{"layer", "", {"0", "1"}}, {"module", "", {"up_proj"}}, {"expert", "", {"0", "1"}}}});
    const float none = std::numeric_limits<float>::quiet_NaN();
    run.mutableMeasure("rank/entropy")->append(5, std::vector<float>{1, none, none, none});
    run.mutableMeasure("rank/entropy")->append(8, std::vector<float>{none, 3, none, none});
    RankModel turns;
    turns.setRun(&run);
    QCOMPARE(turns.map(9, false).note, QStringLiteral("measured at steps 5 to 8, 1 of 2 layers measured"));
    const QString reading = turns.reading(0, 0, 9);
    QVERIFY2(reading.contains(QStringLiteral("expert 0: 1 (step 5)\nexpert 1: 3 (step 8)")),
             qPrintable(reading));
    QCOMPARE(turns.map(6, false).note,
             QStringLiteral("measured at step 5, 1 of 2 layers measured, mean of 1 of 2 experts"));
    QCOMPARE(turns.reading(1, 0, 9),
             QStringLiteral("model.layers.1.mlp.up_proj\nnot measured\nentropy: not measured"));
}

void ModelsTest::firstModuleIsOneThatWasMeasured()
{
    record::RunRecord run;
    run.define(
        {"rank/entropy",
         "Entropy",
         "",
         "",
         {{"layer", "", {"0", "1"}}, {"module", "", {"q_proj", "down_proj"}}, {"expert", "", {"0", "1"}}}});
    const float none = std::numeric_limits<float>::quiet_NaN();
    // q_proj has no experts, down_proj has two, of which one layer was looked at.
    run.mutableMeasure("rank/entropy")->append(5, std::vector<float>{1, none, 2, 3, 4, none, none, none});
    RankModel rank;
    rank.setRun(&run);
    QCOMPARE(rank.module(), QStringLiteral("q_proj"));
    run.mutableMeasure("rank/entropy")->append(6, std::vector<float>{1, none, 2, 3, 4, none, 5, none});
    RankModel later;
    later.setRun(&run);
    QCOMPARE(later.module(), QStringLiteral("down_proj"));
}

void ModelsTest::operatorsNameStepAndShare()
{
    SampleOptions options;
    options.family = "opera";
    const record::RunRecord run = sampleRun(options);
    MpoModel model;
    model.setRun(&run);
    const CurvePlot at = model.spectra(200, false);
    QCOMPARE(at.note, QString());
    QCOMPARE(at.curves[0].label, QStringLiteral("cut 1"));
    QCOMPARE(at.curves[1].label, QStringLiteral("cut 2 (16 of 192)"));
    QCOMPARE(model.spectra(47, false).note, QStringLiteral("measured at step 40"));
    QCOMPARE(model.train(47).driftStep(), std::int64_t(40));
    QCOMPARE(model.train(3).driftStep(), std::int64_t(-1));
    QVERIFY(coreText(model.train(47), 1).contains(QStringLiteral("measured at step 40")));
}

void ModelsTest::columnsAreNamedAlike()
{
    RankModel rank;
    rank.setRun(&m_mixlora);
    RoutingModel routing;
    routing.setRun(&m_mixlora);
    TrainingModel training;
    training.setRun(&m_mixlora);
    QCOMPARE(rank.curveTable().header[3], QStringLiteral("layer 2"));
    QCOMPARE(rank.mapTable(200).header[1], QStringLiteral("q_proj"));
    QCOMPARE(routing.table(RoutingModel::Entropy).header[3], QStringLiteral("layer 2 [nats]"));
    QCOMPARE(tableOf(routing.loadByLayer(200, {}, false)).header[3], QStringLiteral("layer 2"));
    QCOMPARE(tableOf(routing.loadByTask(200, false)).header[3], QStringLiteral("boolq"));
    QCOMPARE(training.table(TrainingModel::Memory).header[1], QStringLiteral("train/memory [B]"));
    QCOMPARE(training.evaluationTable(200).header[3], QStringLiteral("loss before [nats]"));
    QCOMPARE(routing.table(RoutingModel::Entropy).measure, QStringLiteral("routing/entropy"));
}

void ModelsTest::loraHasNoRouting()
{
    SampleOptions options;
    options.family = "lora";
    const record::RunRecord run = sampleRun(options);
    RoutingModel routing;
    routing.setRun(&run);
    QVERIFY(!routing.hasData());
    MpoModel mpo;
    mpo.setRun(&run);
    QVERIFY(!mpo.hasData());
    RankModel rank;
    rank.setRun(&run);
    QVERIFY(rank.hasData());
}

void ModelsTest::tensorTrainShape()
{
    SampleOptions options;
    options.family = "opera";
    const record::RunRecord run = sampleRun(options);
    MpoModel model;
    model.setRun(&run);
    QCOMPARE(model.modules(), (QStringList{QStringLiteral("gate_proj"), QStringLiteral("up_proj"),
                                           QStringLiteral("down_proj")}));
    model.setPlace(7, QStringLiteral("up_proj"), 2);
    const TensorTrain train = model.train(200);
    QCOMPARE(train.cores.size(), std::size_t(5));
    // Legs 2:8:24:2:2 and 2:6:12:2:2 give bonds 4, 192, 16, 4 (the smaller product of the two sides).
    const std::vector<int> bonds = {4, 192, 16, 4};
    for (std::size_t k = 0; k < bonds.size(); ++k)
        QCOMPARE(train.cores[k].rightBond, bonds[k]);
    QCOMPARE(train.cores[2].elements, 192.0 * 24 * 12 * 16);
    QCOMPARE(train.cores[2].drift, 0.0F);
    QVERIFY(train.cores[1].drift > 0);
    QCOMPARE(train.title, QStringLiteral("model.layers.7.mlp.up_proj, expert 2, step 200"));
    const CurvePlot spectra = model.spectra(200, false);
    QCOMPARE(spectra.curves.size(), std::size_t(4));
    QCOMPARE(spectra.curves[0].data.count(), std::size_t(4)); // a cut of bond 4 has four singular values
    QCOMPARE(spectra.curves[1].data.count(), std::size_t(16));
    QVERIFY(coreSide(884736) > coreSide(36864));
    QVERIFY(bondRadius(192) > bondRadius(16));
}

void ModelsTest::operatorsOpenWhereTheyWereMeasured()
{
    const record::Axis layer{"layer", "", {"0", "1", "2"}};
    const record::Axis module{"module", "", {"gate_proj", "down_proj"}};
    const record::Axis expert{"expert", "", {"0", "1"}};
    record::RunRecord run;
    run.define({"mpo/bond_dimension", "Bonds", "", "", {layer, module}});
    run.mutableMeasure("mpo/bond_dimension")->append(0, std::vector<float>(6, 4.0F));
    run.define({"mpo/core_drift", "Drift", "", "", {layer, module, expert, {"core", "", {"0", "1"}}}});
    MpoModel model;
    model.setRun(&run);
    QCOMPARE(model.module(), QStringLiteral("down_proj"));
    QVERIFY(!model.settle()); // nothing has been measured
    std::vector<float> drift(24, std::numeric_limits<float>::quiet_NaN());
    drift[((1 * 2 + 0) * 2 + 1) * 2 + 1] = 0.1F; // layer 1, gate_proj, expert 1, core 1
    run.mutableMeasure("mpo/core_drift")->append(5, drift);
    QVERIFY(model.settle());
    QCOMPARE(model.layer(), 1);
    QCOMPARE(model.module(), QStringLiteral("gate_proj"));
    QCOMPARE(model.expert(), 1);
    QVERIFY(!model.settle()); // already there
    model.setPlace(2, QStringLiteral("down_proj"), 0);
    QVERIFY(!model.settle()); // the user's choice stays
    QCOMPARE(model.layer(), 2);
}

void ModelsTest::emptyRunShowsNothing()
{
    const record::RunRecord run;
    TrainingModel training;
    training.setRun(&run);
    QVERIFY(!training.hasData());
    RankModel rank;
    rank.setRun(&run);
    QVERIFY(!rank.hasData());
    QVERIFY(!rank.map(0, false).hasValues());
    RoutingModel routing;
    routing.setRun(&run);
    QVERIFY(!routing.hasData());
    QVERIFY(!routing.loadByTask(0, false).hasValues());
    MpoModel mpo;
    mpo.setRun(&run);
    QVERIFY(mpo.train(0).empty());
    training.setRun(nullptr);
    QVERIFY(!training.evaluationBars(0).hasValues());
    mpo.setRun(nullptr);
    QVERIFY(!mpo.hasData());
}

QTEST_MAIN(ModelsTest)
#include "models_test.moc"
